//! How a turn ends: each way in which an upstream or a client can fail, and what it costs.

use crate::support::{chat, with_gateway};
use futures_util::StreamExt;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_tests::support::gateway::Gateway;
use std::time::Duration;

async fn end_of(gateway: &Gateway, session: &str, fault: &str, stream: bool) -> DecisionRecord {
    let extra = if stream { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
    let request = gateway
        .chat("best", chat(400, &format!(r#"{extra}"max_tokens":100,"#)))
        .header("x-session-id", session)
        .header("x-mock-prompt-tokens", "90")
        .header("x-mock-output-tokens", "20")
        .header("x-mock-fault", fault);
    let _ = gateway.send(request).await;
    gateway.records("best", session, 1).await.unwrap().remove(0)
}

#[test]
fn a_failed_answer_is_refunded() {
    with_gateway(|gateway| async move {
        for (fault, status) in [("status-500", 500), ("status-429", 429), ("reset-before-headers", 503)] {
            let record = end_of(gateway, &format!("refund-{fault}"), fault, false).await;
            assert_eq!((record.outcome.as_str(), record.charged_nano_usd.0), ("refunded", 0), "{fault}");
            assert_eq!(record.status, Some(status), "{fault}");
        }
    });
}

#[test]
fn a_stream_that_breaks_is_charged_for_what_came() {
    with_gateway(|gateway| async move {
        let record = end_of(gateway, "reset-mid-stream", "reset-mid-stream", true).await;
        assert_eq!(record.outcome, "estimated");
        let least = 100 * 3000;
        assert!((least..=record.reserved_nano_usd.0).contains(&record.charged_nano_usd.0), "{record:?}");
    });
}

#[test]
fn an_answer_without_readable_usage_is_charged_by_estimate() {
    with_gateway(|gateway| async move {
        for fault in ["no-usage", "malformed-json", "truncated"] {
            let record = end_of(gateway, &format!("estimate-{fault}"), fault, false).await;
            assert_eq!(record.outcome, "estimated", "{fault}");
            assert!(record.charged_nano_usd.0 >= 100 * 3000, "{fault}: at least the prompt");
        }
    });
}

#[test]
fn a_compressed_answer_and_one_of_a_wrong_type_are_settled_exactly() {
    with_gateway(|gateway| async move {
        for fault in ["gzip", "wrong-content-type"] {
            let record = end_of(gateway, fault, fault, false).await;
            let found = (record.outcome.as_str(), record.charged_nano_usd.0);
            assert_eq!(found, ("settled", 90 * 3000 + 20 * 15000), "{fault}");
        }
    });
}

#[test]
fn a_client_that_leaves_mid_stream_pays_for_what_it_got() {
    with_gateway(|gateway| async move {
        let body = chat(400, r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":500,"#);
        let request = gateway
            .chat("best", body)
            .header("x-session-id", "leaver")
            .header("x-mock-output-tokens", "400")
            .header("x-mock-chunk-delay-ms", "20");
        let response = request.send().await.unwrap();
        let mut stream = response.bytes_stream();
        for _ in 0..5 {
            stream.next().await.unwrap().unwrap();
        }
        drop(stream);
        let record = gateway.records("best", "leaver", 1).await.unwrap().remove(0);
        assert_eq!(record.outcome, "estimated");
        let (least, most) = (100 * 3000 + 4 * 15000, 100 * 3000 + 200 * 15000);
        assert!((least..most).contains(&record.charged_nano_usd.0), "{record:?}");
    });
}

#[test]
fn a_client_that_leaves_before_the_answer_pays_nothing() {
    with_gateway(|gateway| async move {
        let request = gateway
            .chat("best", chat(400, ""))
            .header("x-session-id", "impatient")
            .header("x-mock-fault", "hang")
            .timeout(Duration::from_millis(300));
        assert!(gateway.send(request).await.is_err());
        let record = gateway.records("best", "impatient", 1).await.unwrap().remove(0);
        assert_eq!(
            (record.outcome.as_str(), record.status, record.charged_nano_usd.0),
            ("refunded", None, 0)
        );
    });
}
