//! Large bodies, odd framings and the three modes.

use crate::support::{chat, post_in_two_pieces, with_gateway};
use serde_json::Value;

/// What the upstream of `model` got with a body that contains `marker`.
fn received(
    gateway: &seqroute_tests::support::gateway::Gateway,
    model: usize,
    marker: &str,
) -> (Option<String>, Vec<u8>) {
    let contains = |body: &[u8]| body.windows(marker.len()).any(|window| window == marker.as_bytes());
    let received = gateway.upstreams[model].received();
    let request = received.iter().find(|request| contains(&request.body)).expect("the request arrived");
    (request.header("content-length").map(str::to_owned), request.body.to_vec())
}

#[test]
fn a_long_body_streams_through_the_peek_with_the_model_first_or_last() {
    with_gateway(|gateway| async move {
        for (session, model_last, cut) in [
            ("first", false, 100_000),
            ("last", true, 100_000),
            // The peek begins with little; the rest comes in a burst that no buffer limit may mistake for too much.
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
        let request = gateway.chat("best", chat(5_000_000, "")).header("x-session-id", "too-long");
        let (status, headers, _) = gateway.send(request).await.unwrap();
        assert_eq!(
            (status, headers["x-seqroute-reason"].to_str().unwrap()),
            (400, "context_length_exceeded")
        );
    });
}

#[test]
fn a_chunked_body_is_rewritten_too() {
    with_gateway(|gateway| async move {
        let text = chat(3000, "").replacen("xxxx", "chunked-body", 1);
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            text.as_bytes().chunks(700).map(|piece| Ok(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let (status, _, _) = gateway
            .send(
                gateway
                    .chat("best", body)
                    .header("x-session-id", "chunked")
                    .header("x-seqroute-budget-usd", "10"),
            )
            .await
            .unwrap();
        assert_eq!(status, 200);
        let (_, sent) = received(gateway, 2, "chunked-body");
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap()["model"], "large");
    });
}

#[test]
fn models_smuggled_behind_the_peek_never_reach_the_upstream() {
    with_gateway(|gateway| async move {
        // Longer than one read of Envoy's and the peek together: the decision is made before the end has come.
        let padding = "z".repeat(1_000_000);
        let smuggled = |count: usize| r#","model":"m""#.repeat(count);
        // A few fit the length that was announced, and are rewritten; many do not, and the request is reset.
        for (session, count) in [("one-smuggler", 1), ("many-smugglers", 30)] {
            let body = format!(
                r#"{{"model":"auto","max_tokens":5,"messages":[{{"role":"user","content":"{padding}"}}]{}}}"#,
                smuggled(count)
            );
            let answer = post_in_two_pieces(gateway, "wide", session, &body, 100_000).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), count == 1, "{answer}");
            let record = gateway.records("wide", session, 1).await.unwrap().remove(0);
            assert_eq!(record.outcome, if count == 1 { "settled" } else { "refunded" }, "{session}");
        }
        // Whatever arrived of them, no upstream saw such a member.
        let received = gateway.upstreams.iter().flat_map(|upstream| upstream.received());
        let shows = |body: &[u8]| body.windows(11).any(|window| window == br#""model":"m""#);
        assert_eq!(received.filter(|request| shows(&request.body)).count(), 0);
    });
}

#[test]
fn headers_mode_routes_without_reading_the_body() {
    with_gateway(|gateway| async move {
        let body = chat(3000, "").replacen("xxxx", "headers-mode", 1);
        let request = gateway
            .chat("headers", body.clone())
            .header("x-session-id", "headers-mode")
            .header("x-seqroute-budget-usd", "10");
        let (status, headers, _) = gateway.send(request).await.unwrap();
        assert_eq!((status, headers["x-mock-model"].to_str().unwrap()), (200, "large"));
        assert_eq!(received(gateway, 2, "headers-mode").1, body.as_bytes());
        assert_eq!(gateway.records("headers", "headers-mode", 1).await.unwrap()[0].outcome, "settled");
    });
}

#[test]
fn body_mode_holds_the_whole_body_and_keeps_its_length_exact() {
    with_gateway(|gateway| async move {
        let body = chat(300_000, "").replacen("xxxx", "body-mode", 1).replace(r#""model":"auto","#, "");
        let body = body.replacen("]}", r#"],"model":"auto"}"#, 1);
        let request = gateway
            .chat("body", body)
            .header("x-session-id", "body-mode")
            .header("x-seqroute-budget-usd", "10");
        assert_eq!(gateway.send(request).await.unwrap().0, 200);
        let (content_length, sent) = received(gateway, 2, "body-mode");
        assert_eq!(content_length, Some(sent.len().to_string()));
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap()["model"], "large");
    });
}
