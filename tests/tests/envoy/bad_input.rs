//! Requests that make no sense, through Envoy's own parsers first.

use crate::support::{chat, with_gateway};
use reqwest::header::HeaderValue;
use seqroute_core::money::NanoUsd;
use serde_json::Value;

async fn reloads(gateway: &seqroute_tests::support::gateway::Gateway) -> u64 {
    gateway.envoy.stats("vm_reload_success").await.unwrap().values().sum()
}

#[test]
fn headers_that_are_not_utf8_leave_the_vm_alive() {
    with_gateway(|gateway| async move {
        let before = reloads(gateway).await;
        let request = gateway
            .chat("best", chat(400, ""))
            .header("x-session-id", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .header("x-anything", HeaderValue::from_bytes(b"\x80\x81\xc3").unwrap());
        assert_eq!(gateway.send(request).await.unwrap().0, 200);
        assert_eq!(reloads(gateway).await, before);
    });
}

#[test]
fn a_broken_body_is_refused_without_a_charge() {
    with_gateway(|gateway| async move {
        for (session, body) in
            [("broken-1", "{broken"), ("broken-2", "[1]"), ("broken-3", ""), ("broken-4", "{\"model\":1")]
        {
            let request = gateway.chat("best", body).header("x-session-id", session);
            let (status, _, reply) = gateway.send(request).await.unwrap();
            assert_eq!(status, 400, "{body}");
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            assert_eq!(reply["error"]["code"], "invalid_body");
            let record = gateway.records("best", session, 1).await.unwrap().remove(0);
            assert_eq!((record.outcome.as_str(), record.charged_nano_usd), ("refused", NanoUsd::ZERO));
        }
    });
}

#[test]
fn a_budget_that_is_no_amount_and_an_unknown_model_are_refused() {
    with_gateway(|gateway| async move {
        for budget in ["-1", "NaN", "1e9", "abc"] {
            let request = gateway.chat("best", chat(400, "")).header("x-session-id", "bad-budget");
            let (status, headers, _) =
                gateway.send(request.header("x-seqroute-budget-usd", budget)).await.unwrap();
            assert_eq!(
                (status, headers["x-seqroute-reason"].to_str().unwrap()),
                (400, "invalid_header"),
                "{budget}"
            );
        }
        let body = chat(400, "").replace("auto", "gpt-9");
        let (status, headers, _) =
            gateway.send(gateway.chat("best", body).header("x-session-id", "bad-model")).await.unwrap();
        assert_eq!((status, headers["x-seqroute-reason"].to_str().unwrap()), (400, "model_not_found"));
    });
}

#[test]
fn a_request_without_a_session_is_served_by_the_default_budget() {
    with_gateway(|gateway| async move {
        let (status, headers, _) = gateway.send(gateway.chat("best", chat(400, ""))).await.unwrap();
        assert_eq!((status, headers.get("x-seqroute-session")), (200, None));
    });
}
