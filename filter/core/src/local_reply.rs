//! Answers that the filter gives itself, in the shape the caller's client library understands.
//!
//! OpenAI: `{"error": {"message", "type", "param", "code"}}`; Anthropic, under `/v1/messages`:
//! `{"type": "error", "error": {"type", "message"}}`. Client libraries retry 429 by themselves; a session's budget
//! does not refill, so `x-should-retry: false` tells them not to.

use serde_json::json;

use crate::config::Config;
use crate::money::NanoUsd;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No model is affordable with what the session has left.
    Exhausted {
        /// What may still be reserved.
        available: NanoUsd,
        /// The session's budget.
        budget: NanoUsd,
    },
    /// The prompt fits no model's context.
    ContextTooLong,
    /// The session has too many turns in flight.
    TooManyInFlight,
    /// The session table has no room or cannot be used.
    TableUnavailable,
    /// The request names no session and the configuration wants one.
    NoSession {
        /// The headers that may carry it.
        expected: String,
    },
    /// A trusted header makes no sense.
    InvalidHeader {
        /// Its name.
        header: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The body is no JSON object.
    InvalidBody,
    /// The requested model is not configured.
    UnknownModel {
        /// The first characters of its name.
        requested: String,
    },
}

/// A response of the filter's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body.
    pub body: String,
    /// Reason in records and Envoy's response code details.
    pub reason: &'static str,
}

impl LocalReply {
    /// The reply for a refusal on `path`.
    #[must_use]
    pub fn new(refusal: &Refusal, config: &Config, path: &str) -> LocalReply {
        let (status, kind, code, message, retry) = describe(refusal, config.budget.exhausted_status);
        let body = if path.ends_with("/messages") {
            let kind = if status == 429 { "rate_limit_error" } else { "invalid_request_error" };
            json!({"type": "error", "error": {"type": kind, "message": message}})
        } else {
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        };
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-should-retry", retry.to_string()),
            ("x-seqroute-reason", code.to_owned()),
        ];
        LocalReply { status, headers, body: body.to_string(), reason: code }
    }
}

fn describe(refusal: &Refusal, exhausted: u32) -> (u32, &'static str, &'static str, String, bool) {
    let invalid = "invalid_request_error";
    match refusal {
        Refusal::Exhausted { available, budget } => {
            let message = format!("The session's budget is exhausted: {available} of {budget} USD are left.");
            (exhausted, "budget_exceeded", "session_budget_exceeded", message, false)
        }
        Refusal::ContextTooLong => (
            400,
            invalid,
            "context_length_exceeded",
            "The request fits no model's context.".to_owned(),
            false,
        ),
        Refusal::TooManyInFlight => (
            429,
            "rate_limit_error",
            "too_many_turns_in_flight",
            "Too many turns of this session are in flight.".to_owned(),
            true,
        ),
        Refusal::TableUnavailable => (
            503,
            "server_error",
            "session_table_unavailable",
            "The session cannot be accounted for now.".to_owned(),
            true,
        ),
        Refusal::NoSession { expected } => (
            400,
            invalid,
            "session_missing",
            format!("The request names no session; expected one of `{expected}`."),
            false,
        ),
        Refusal::InvalidHeader { header, expected } => {
            (400, invalid, "invalid_header", format!("Header `{header}`: expected {expected}."), false)
        }
        Refusal::InvalidBody => {
            (400, invalid, "invalid_body", "The request body is no JSON object.".to_owned(), false)
        }
        Refusal::UnknownModel { requested } => {
            (400, invalid, "model_not_found", format!("The model `{requested}` is not configured."), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::example;

    fn reply(path: &str) -> LocalReply {
        let config = Config::from_json(example().to_string().as_bytes()).unwrap();
        let refusal = Refusal::Exhausted { available: NanoUsd(1_000_000), budget: NanoUsd(10_000_000) };
        LocalReply::new(&refusal, &config, path)
    }

    #[test]
    fn exhaustion_speaks_openai_and_forbids_retries() {
        let reply = reply("/v1/chat/completions");
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(reply.status, 429);
        assert_eq!(body["error"]["code"], "session_budget_exceeded");
        assert_eq!(
            body["error"]["message"],
            "The session's budget is exhausted: 0.001 of 0.01 USD are left."
        );
        assert!(reply.headers.contains(&("x-should-retry", "false".to_owned())));
    }

    #[test]
    fn exhaustion_speaks_anthropic_under_messages() {
        let body: serde_json::Value = serde_json::from_str(&reply("/v1/messages").body).unwrap();
        assert_eq!(
            (body["type"].as_str(), body["error"]["type"].as_str()),
            (Some("error"), Some("rate_limit_error"))
        );
    }
}
