//! One turn through Envoy: routing, rewriting, settling, headers.

use crate::support::{chat, with_gateway};
use seqroute_core::money::NanoUsd;
use serde_json::Value;

#[test]
fn a_turn_is_routed_rewritten_and_charged_at_its_true_cost() {
    with_gateway(|gateway| async move {
        let request = gateway
            .chat("best", chat(400, r#""max_tokens":100,"#))
            .header("x-session-id", "turn-1")
            .header("x-seqroute-cluster", "small")
            .header("x-seqroute-budget-usd", "0.01")
            .header("x-mock-prompt-tokens", "90")
            .header("x-mock-output-tokens", "20");
        let (status, headers, body) = gateway.send(request).await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(headers["x-mock-model"], "large", "the client's own route is overwritten");
        assert_eq!(headers["x-mock-received-model"], "large");
        assert_eq!(headers["x-mock-received-bytes"], "401", "`auto` became `large`");
        assert_eq!(headers["x-seqroute-model"], "large");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["usage"]["completion_tokens"], 20);
        let record = gateway.records("best", "turn-1", 1).await.unwrap().remove(0);
        assert_eq!(record.charged_nano_usd, NanoUsd(90 * 3000 + 20 * 15000));
        assert_eq!(record.outcome, "settled");
        let received = gateway.upstreams[2].received();
        let received = received.iter().find(|request| request.body.len() == 401).unwrap();
        assert_eq!(received.header("x-seqroute-budget-usd"), None, "internal headers stay inside");
        assert_eq!(received.header("x-seqroute-cluster"), None);
    });
}

#[test]
fn a_stream_is_settled_by_its_usage_event_however_it_is_cut() {
    with_gateway(|gateway| async move {
        for (session, fault) in [("sse-whole", None), ("sse-split", Some("usage-split"))] {
            let body =
                chat(400, r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":100,"#);
            let mut request = gateway
                .chat("best", body)
                .header("x-session-id", session)
                .header("x-mock-prompt-tokens", "90")
                .header("x-mock-output-tokens", "20");
            if let Some(fault) = fault {
                request = request.header("x-mock-fault", fault);
            }
            let (status, _, body) = gateway.send(request).await.unwrap();
            assert_eq!(status, 200);
            assert!(String::from_utf8_lossy(&body).ends_with("data: [DONE]\n\n"));
            let record = gateway.records("best", session, 1).await.unwrap().remove(0);
            assert_eq!(record.charged_nano_usd, NanoUsd(90 * 3000 + 20 * 15000), "{session}");
        }
    });
}

#[test]
fn a_session_follows_its_budget_down_to_the_refusal() {
    with_gateway(|gateway| async move {
        let mut models = Vec::new();
        let reply = loop {
            let request = gateway
                .chat("best", chat(400, r#""max_tokens":100,"#))
                .header("x-session-id", "downhill")
                .header("x-seqroute-budget-usd", "0.004")
                .header("x-mock-output-tokens", "100");
            let (status, headers, body) = gateway.send(request).await.unwrap();
            if status == 429 {
                break (headers, body);
            }
            models.push(headers["x-mock-model"].to_str().unwrap().to_owned());
            assert!(models.len() < 100, "the budget never ends");
        };
        assert_eq!(models[..2], ["large", "large"]);
        let mut falling = models.clone();
        falling.dedup();
        assert_eq!(falling, ["large", "small"], "a medium turn is not affordable after two large ones");
        assert_eq!(reply.0["x-should-retry"], "false");
        let body: Value = serde_json::from_slice(&reply.1).unwrap();
        assert_eq!(body["error"]["code"], "session_budget_exceeded");
        let records = gateway.records("best", "downhill", models.len() + 1).await.unwrap();
        let spent: u64 = records.iter().map(|record| record.charged_nano_usd.0).sum();
        assert!(spent <= 4_000_000, "{spent}");
    });
}

#[test]
fn the_policy_decides_in_envoy() {
    with_gateway(|gateway| async move {
        let request = gateway.chat("policy", chat(400, "")).header("x-session-id", "by-policy");
        let (status, headers, _) = gateway.send(request).await.unwrap();
        assert_eq!((status, &headers["x-seqroute-reason"]), (200, &"policy".parse().unwrap()));
        let record = gateway.records("policy", "by-policy", 1).await.unwrap().remove(0);
        assert_eq!(headers["x-mock-model"], record.chosen.unwrap().as_str());
        assert_eq!(record.q_quality.len(), 3);
    });
}

#[test]
fn what_is_no_llm_call_goes_to_the_default_cluster() {
    with_gateway(|gateway| async move {
        let url = gateway.envoy.url("best").unwrap();
        let response =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{url}/v1/models")).send();
        let response = response.await.unwrap();
        assert!(response.headers().get("x-seqroute-model").is_none());
    });
}
