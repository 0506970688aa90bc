//! Tests of the shapes and words of refusals.

use super::*;
use crate::config::tests::example;
use serde_json::Value;

fn reply_to(refusal: &Refusal, path: &str) -> (LocalReply, Value) {
    let config = Config::from_json(example().to_string().as_bytes()).unwrap();
    let reply = LocalReply::new(refusal, &config, Api::of_path(path).unwrap(), 3_600_000 * 5 + 1_800_000);
    let body = serde_json::from_str(&reply.body).unwrap();
    (reply, body)
}

fn exhausted(path: &str) -> (LocalReply, Value) {
    reply_to(&exhausted_with(NanoUsd::ZERO, 0), path)
}

fn exhausted_with(outstanding: NanoUsd, least_output_tokens: u64) -> Refusal {
    let (needed, left, budget) = (NanoUsd(2_000_000), NanoUsd(1_000_000), NanoUsd(10_000_000));
    Refusal::Exhausted { needed, left, outstanding, budget, least_output_tokens }
}

#[test]
fn exhaustion_has_openais_shape_and_forbids_retries() {
    let (reply, body) = exhausted("/v1/chat/completions");
    assert_eq!(reply.status, 429);
    assert_eq!((&body["error"]["code"], &body["error"]["type"]), (&json!(QUOTA), &json!(QUOTA)));
    assert_eq!(
        body["error"]["message"],
        "The session's budget is exhausted: 0.001 of 0.01 USD are left, and this turn needs 0.002 USD."
    );
    assert!(reply.headers.contains(&("x-should-retry", "false".to_owned())));
    assert!(reply.headers.contains(&("x-seqroute-reason", "session_budget_exceeded".to_owned())));
}

#[test]
fn exhaustion_says_what_is_held_and_what_makes_the_turn_dear() {
    let (_, body) = reply_to(&exhausted_with(NanoUsd(500_000), 64_000), "/v1/messages");
    assert_eq!(
        body["error"]["message"],
        "The session's budget is exhausted: 0.001 of 0.01 USD are left (0.0005 USD of them held by turns in flight), \
         and this turn needs 0.002 USD, since its answer may not be cut below 64000 tokens."
    );
}

#[test]
fn money_that_turns_in_flight_hold_is_not_called_exhausted_and_may_be_asked_for_again() {
    let refusal = Refusal::MoneyInFlight {
        needed: NanoUsd(2_000_000),
        available: NanoUsd(1_000_000),
        outstanding: NanoUsd(7_000_000),
    };
    for path in
        ["/v1/chat/completions", "/v1/messages", "/v1beta/models/g:generateContent", "/model/m/converse"]
    {
        let (reply, body) = reply_to(&refusal, path);
        assert_eq!(reply.status, 429, "{path}");
        for header in
            [("x-should-retry", "true"), ("retry-after", "2"), ("x-seqroute-reason", "money_in_flight")]
        {
            assert!(reply.headers.contains(&(header.0, header.1.to_owned())), "{path} {header:?}");
        }
        assert!(!body.to_string().contains("exhausted") && !body.to_string().contains(QUOTA), "{body}");
        assert!(body.to_string().contains("needs 0.002 USD and 0.001 USD are free"), "{body}");
    }
    let (_, body) = reply_to(&refusal, "/v1beta/models/g:generateContent");
    assert_eq!(body["error"]["details"][0]["retryDelay"], "2s");
}

#[test]
fn exhaustion_has_anthropics_shape_under_messages() {
    let (_, body) = exhausted("/v1/messages");
    assert_eq!(
        (body["type"].as_str(), body["error"]["type"].as_str()),
        (Some("error"), Some("rate_limit_error"))
    );
}

#[test]
fn exhaustion_has_the_shapes_of_gemini_and_bedrock() {
    let (_, body) = exhausted("/v1beta/models/gemini-pro:streamGenerateContent");
    assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED");
    let (reply, body) = exhausted("/model/some.model/converse");
    assert!(body["message"].is_string());
    assert!(reply.headers.contains(&("x-amzn-errortype", "ThrottlingException".to_owned())));
}

#[test]
fn a_budget_that_is_renewed_says_when() {
    let refusal =
        Refusal::TenantExhausted { available: NanoUsd::ZERO, needed: NanoUsd(5), window_ms: Some(3_600_000) };
    let (reply, body) = reply_to(&refusal, "/v1/chat/completions");
    assert_eq!(body["error"]["code"], QUOTA);
    assert!(reply.headers.contains(&("x-seqroute-reason", "tenant_budget_exceeded".to_owned())));
    assert!(reply.headers.contains(&("retry-after", "1800".to_owned())));
}

#[test]
fn too_many_new_sessions_say_when_the_next_may_begin() {
    let refusal = Refusal::TooManyNewSessions { window_ms: 3_600_000 };
    let (reply, body) = reply_to(&refusal, "/v1/chat/completions");
    assert_eq!((reply.status, body["error"]["code"].as_str()), (429, Some("too_many_new_sessions")));
    assert!(reply.headers.contains(&("retry-after", "1800".to_owned())));
    assert!(reply.headers.contains(&("x-should-retry", "true".to_owned())));
}

#[test]
fn an_unknown_tenant_is_told_so_in_every_shape() {
    let (reply, body) = reply_to(&Refusal::TenantUnknown, "/v1/messages");
    assert_eq!((reply.status, body["error"]["type"].as_str()), (403, Some("permission_error")));
    let (_, body) = reply_to(&Refusal::TenantUnknown, "/v1beta/models/gemini-pro:generateContent");
    assert_eq!(body["error"]["status"], "PERMISSION_DENIED");
    let (reply, _) = reply_to(&Refusal::TenantUnknown, "/model/some.model/converse");
    assert!(reply.headers.contains(&("x-amzn-errortype", "AccessDeniedException".to_owned())));
}

#[test]
fn a_compressed_body_is_refused_by_the_name_of_its_encoding() {
    let refusal = Refusal::Encoded { encoding: "zstd".to_owned() };
    let (reply, body) = reply_to(&refusal, "/v1/responses");
    assert_eq!(reply.status, 415);
    assert!(body["error"]["message"].as_str().unwrap().contains("`zstd`"));
    assert!(reply.headers.contains(&("accept-encoding", "identity".to_owned())));
}
