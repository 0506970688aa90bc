//! What a client of the mock model server sees: honest answers, and each fault as it appears on the network.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use seqroute_envoy::mock_llm::{Fault, MockLlm};
use serde_json::{Value, json};

const LOOPBACK: &str = "127.0.0.1:0";

fn start(model: &str) -> MockLlm {
    MockLlm::start(model, LOOPBACK.parse().unwrap()).unwrap()
}

async fn post(server: &MockLlm, headers: &[(&str, &str)], body: &Value) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request =
        client.post(format!("http://{}/v1/chat/completions", server.addr())).body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn events(body: &str) -> Vec<&str> {
    body.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect()
}

/// Sends one request on a plain socket and reads until the connection ends or resets.
fn raw(server: &MockLlm, fault: &str, body: &Value) -> (String, io::Result<()>) {
    let body = body.to_string();
    let mut socket = TcpStream::connect(server.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-mock-fault: {fault}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    let end = loop {
        match socket.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(length) => received.extend_from_slice(&chunk[..length]),
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8_lossy(&received).into_owned(), end)
}

#[tokio::test]
async fn a_json_answer_reports_what_the_request_asked_for() {
    let server = start("small");
    let body = json!({"model": "asked-for", "messages": []});
    let directions =
        [("x-mock-prompt-tokens", "1000"), ("x-mock-cached-tokens", "400"), ("x-mock-output-tokens", "7")];
    let answer = post(&server, &directions, &body).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-mock-model"], "small");
    assert_eq!(answer.headers()["x-mock-received-model"], "asked-for");
    assert_eq!(answer.headers()["x-mock-received-bytes"], body.to_string().len().to_string());
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["model"], "asked-for");
    assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap().split_whitespace().count(), 7);
    let usage = &answer["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(1000), &json!(7)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 400);
}

#[tokio::test]
async fn the_prompt_is_a_quarter_of_the_body_unless_directed() {
    let server = start("small");
    let body = json!({"model": "m", "padding": "x".repeat(101)});
    let answer: Value = post(&server, &[], &body).await.json().await.unwrap();
    assert_eq!(answer["usage"]["prompt_tokens"], (body.to_string().len() as u64).div_ceil(4));
}

#[tokio::test]
async fn a_stream_carries_usage_only_if_the_request_asks_for_it() {
    let server = start("small");
    let directions = [("x-mock-output-tokens", "40")];
    let plain = post(&server, &directions, &json!({"model": "m", "stream": true})).await;
    assert_eq!(plain.headers()["content-type"], "text/event-stream; charset=utf-8");
    let plain = plain.text().await.unwrap();
    assert!(!plain.contains("usage"));
    assert_eq!(events(&plain).last(), Some(&"[DONE]"));

    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    let with_usage = post(&server, &directions, &body).await.text().await.unwrap();
    let events = events(&with_usage);
    // Role, three pieces of text, finish, usage, end.
    assert_eq!(events.len(), 7);
    let first: Value = serde_json::from_str(events[0]).unwrap();
    assert!(first["usage"].is_null() && first.get("usage").is_some());
    let last: Value = serde_json::from_str(events[5]).unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 40);
}

#[tokio::test]
async fn what_arrived_can_be_read_back_and_is_counted() {
    let server = start("small");
    let body = json!({"model": "m", "text": "hello"});
    post(&server, &[("x-session-id", "abc"), ("x-mock-output-tokens", "9")], &body)
        .await
        .bytes()
        .await
        .unwrap();
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].path, "/v1/chat/completions");
    assert_eq!(received[0].header("X-Session-Id"), Some("abc"));
    assert_eq!(received[0].json(), Some(body));
    let totals = server.totals();
    assert_eq!((totals.requests, totals.answers, totals.completion_tokens), (1, 1, 9));
}

#[tokio::test]
async fn delays_are_kept_before_the_answer_and_between_events() {
    let server = start("small");
    let directions =
        [("x-mock-delay-ms", "120"), ("x-mock-chunk-delay-ms", "40"), ("x-mock-output-tokens", "16")];
    let begin = Instant::now();
    let answer = post(&server, &directions, &json!({"model": "m", "stream": true})).await;
    assert!(begin.elapsed() >= Duration::from_millis(120));
    // Four events, three pauses.
    answer.bytes().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(240));
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_refused_in_the_format_of_the_api() {
    let server = start("small");
    let url = format!("http://{}", server.addr());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let chat = format!("{url}/v1/chat/completions");
    let cases = [
        (client.post(&chat).body("{"), 400, "not JSON"),
        (client.post(&chat).body("{}"), 400, "model parameter"),
        (client.post(&chat).body("{}").header("x-mock-fault", "typo"), 400, "x-mock-fault"),
        (client.get(&chat), 404, "Unknown request URL: GET"),
    ];
    for (request, status, message) in cases {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{body}");
    }
}

#[tokio::test]
async fn status_faults_answer_with_an_error_and_count_no_tokens() {
    let server = start("small");
    for (fault, status) in [("status-500", 500), ("status-429", 429)] {
        let answer = post(&server, &[("x-mock-fault", fault)], &json!({"model": "m"})).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
        assert!(answer.json::<Value>().await.unwrap()["error"]["message"].is_string());
    }
    let totals = server.totals();
    assert_eq!((totals.faults, totals.answers, totals.prompt_tokens), (2, 0, 0));
}

#[test]
fn a_reset_before_headers_is_a_reset_and_not_a_regular_end() {
    let server = start("small");
    let (received, end) = raw(&server, "reset-before-headers", &json!({"model": "m"}));
    assert_eq!(received, "");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_mid_stream_comes_after_half_of_the_answer() {
    let server = start("small");
    for stream in [false, true] {
        let (received, end) = raw(&server, "reset-mid-stream", &json!({"model": "m", "stream": stream}));
        assert!(received.starts_with("HTTP/1.1 200") && received.contains("model"), "{received}");
        assert!(!received.contains("[DONE]") && !received.contains("prompt_tokens"));
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
    assert_eq!(server.totals().answers, 0);
}

#[test]
fn a_truncated_answer_ends_without_an_error() {
    let server = start("small");
    for stream in [false, true] {
        let (received, end) = raw(&server, "truncated", &json!({"model": "m", "stream": stream}));
        end.unwrap();
        assert!(!received.contains("[DONE]") && !received.contains("prompt_tokens"));
        // The last chunk of a chunked body, which marks it as complete.
        assert_eq!(received.ends_with("\r\n0\r\n\r\n"), stream, "{received}");
    }
    assert_eq!(server.totals().answers, 0);
}

#[tokio::test]
async fn malformed_json_is_not_json_and_a_missing_usage_is_missing() {
    let server = start("small");
    let body = json!({"model": "m"});
    let broken = post(&server, &[("x-mock-fault", "malformed-json")], &body).await.text().await.unwrap();
    assert!(broken.contains("\"usage\":{]") && serde_json::from_str::<Value>(&broken).is_err());
    let without: Value = post(&server, &[("x-mock-fault", "no-usage")], &body).await.json().await.unwrap();
    assert!(without.get("usage").is_none() && without["choices"].is_array());
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    let without = post(&server, &[("x-mock-fault", "no-usage")], &body).await.text().await.unwrap();
    assert!(!without.contains("usage") && without.ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_wrong_content_type_hides_a_right_body() {
    let server = start("small");
    let answer = post(&server, &[("x-mock-fault", "wrong-content-type")], &json!({"model": "m"})).await;
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(answer.json::<Value>().await.unwrap()["usage"].is_object());
}

#[tokio::test]
async fn a_split_usage_arrives_in_two_pieces_and_is_whole_together() {
    let server = start("small");
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    let directions = [("x-mock-fault", "usage-split"), ("x-mock-prompt-tokens", "1234")];
    let mut answer = post(&server, &directions, &body).await;
    let mut pieces = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        pieces.push(String::from_utf8(piece.to_vec()).unwrap());
    }
    assert!(pieces.iter().any(|piece| piece.ends_with("\"prompt_tokens\":1")), "{pieces:?}");
    assert!(pieces.concat().contains("\"prompt_tokens\":1234"));
}

#[tokio::test]
async fn a_gzip_answer_is_the_same_answer_compressed() {
    let server = start("small");
    for stream in [false, true] {
        let body = json!({"model": "m", "stream": stream});
        let answer = post(&server, &[("x-mock-fault", "gzip"), ("accept-encoding", "identity")], &body).await;
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        let compressed = answer.bytes().await.unwrap();
        let mut plain = String::new();
        GzDecoder::new(&compressed[..]).read_to_string(&mut plain).unwrap();
        assert!(plain.contains("\"model\":\"m\""), "{plain}");
        assert_eq!(plain.ends_with("[DONE]\n\n"), stream);
    }
}

#[tokio::test]
async fn a_hanging_request_gets_no_answer_while_others_do() {
    let server = start("small");
    let body = json!({"model": "m"});
    let hanging = [("x-mock-fault", "hang")];
    let hang = tokio::time::timeout(Duration::from_millis(300), post(&server, &hanging, &body));
    assert!(hang.await.is_err());
    assert_eq!(post(&server, &[], &body).await.status(), 200);
}

#[tokio::test]
async fn a_dropped_server_closes_its_port_and_its_connections() {
    let server = start("small");
    let address = server.addr();
    let mut open = TcpStream::connect(address).unwrap();
    open.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    drop(server);
    // Any error other than a time-out also ends the connection.
    let end = open.read(&mut [0; 1]);
    assert!(!matches!(end, Err(error) if error.kind() == io::ErrorKind::WouldBlock));
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_fault_has_one_name() {
    let mut names: Vec<_> = Fault::ALL.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Fault::ALL.len());
}
