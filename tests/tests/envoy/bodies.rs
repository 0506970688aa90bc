//! Bodies of megabytes, which a scenario does not hold: they reach Envoy in bursts, and past every buffer limit.

use std::time::Duration;

use seqroute_tests::support::chat::chat;
use seqroute_tests::support::gateway::Gateway;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::with_gateway;

/// What the upstream of `model` got with a body that contains `marker`.
fn received(gateway: &Gateway, model: usize, marker: &str) -> (Option<String>, Vec<u8>) {
    let contains = |body: &[u8]| body.windows(marker.len()).any(|window| window == marker.as_bytes());
    let received = gateway.upstreams[model].received();
    let request = received.iter().find(|request| contains(&request.body)).expect("the request arrived");
    (request.header("content-length").map(str::to_owned), request.body.to_vec())
}

/// Posts a body in two pieces with a pause at `cut`, so that Envoy sees the first before the second exists, and
/// returns the raw answer (empty when the connection was cut).
pub async fn post_in_two_pieces(
    gateway: &Gateway,
    listener: &str,
    session: &str,
    body: &str,
    cut: usize,
) -> String {
    let mut connection = TcpStream::connect(gateway.address(listener)).await.expect("a connection");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm\r\ncontent-type: application/json\r\n\
         connection: close\r\nx-session-id: {session}\r\nx-seqroute-budget-usd: 1000\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("the head is sent");
    connection.write_all(&body.as_bytes()[..cut]).await.expect("the first piece is sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _ = connection.write_all(&body.as_bytes()[cut..]).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_long_body_streams_through_the_peek_with_the_model_first_or_last() {
    with_gateway(|gateway| async move {
        for (session, model_last, cut) in [
            ("first", false, 100_000),
            ("last", true, 100_000),
            // The peek begins with little; the rest comes in a burst that must not exceed a buffer limit.
            ("first-burst", false, 5_000),
            ("last-burst", true, 5_000),
        ] {
            let content = format!("{session}: {}", "y".repeat(5_000_000));
            let messages = format!(r#""messages":[{{"role":"user","content":"{content}"}}]"#);
            let body = if model_last {
                format!(r#"{{{messages},"max_tokens":5,"model":"auto"}}"#)
            } else {
                format!(r#"{{"model":"auto","max_tokens":5,{messages}}}"#)
            };
            let answer = post_in_two_pieces(gateway, "wide", session, &body, cut).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{session}: {answer}");
            let (content_length, sent) = received(gateway, 2, &format!("{session}: "));
            assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap()["model"], "large");
            assert_eq!(content_length, Some(sent.len().to_string()), "{session}");
        }
    });
}

#[test]
fn a_body_that_fits_no_context_is_refused_before_it_is_read() {
    with_gateway(|gateway| async move {
        let request = gateway.chat("best", chat(5_000_000, 10)).header("x-session-id", "too-long");
        let (status, headers, _) = gateway.send(request).await.unwrap();
        assert_eq!(
            (status, headers["x-seqroute-reason"].to_str().unwrap()),
            (400, "context_length_exceeded")
        );
    });
}
