//! Answers that the filter gives itself, in the shape the caller's client library understands.
//!
//! | API ([`Api`], by path) | shape |
//! |---|---|
//! | OpenAI | `{"error": {"message", "type", "param", "code"}}` |
//! | Anthropic | `{"type": "error", "error": {"type", "message"}}` |
//! | Gemini | `{"error": {"code", "message", "status"}}` |
//! | Bedrock Converse | `{"message"}`, and the kind in `x-amzn-errortype` |
//!
//! Client libraries retry 429 by themselves; a session's budget does not refill, so `x-should-retry: false` tells
//! them not to. A tenant's budget per window does: then `retry-after` says when.

use serde_json::json;

use crate::request::api::Api;
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
    /// The session has money left, but its tenant's budget is used up.
    TenantExhausted {
        /// What may still be reserved.
        available: NanoUsd,
        /// Length of the tenant's budget window; `None`: the budget does not come back.
        window_ms: Option<u64>,
    },
    /// The prompt fits no model's context.
    ContextTooLong,
    /// No model takes what the request brings (images, tools), or the one it is locked to does not.
    NoCapableModel,
    /// The session has too many turns in flight.
    TooManyInFlight,
    /// The session table has no room or cannot be used.
    TableUnavailable,
    /// The request names no session and the configuration wants one.
    NoSession {
        /// Where it may stand.
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
    /// The reply for a refusal on `path` at this time.
    #[must_use]
    pub fn new(refusal: &Refusal, config: &Config, path: &str, now_ms: u64) -> LocalReply {
        let Description { status, kind, code, message, retry } =
            describe(refusal, config.budget.exhausted_status);
        let api = Api::of_path(path).unwrap_or_default();
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-should-retry", retry.to_string()),
            ("x-seqroute-reason", code.to_owned()),
        ];
        if api == Api::BedrockConverse {
            headers.push(("x-amzn-errortype", aws_name(status).to_owned()));
        }
        if let Refusal::TenantExhausted { window_ms: Some(window_ms), .. } = refusal {
            let into_window_ms = now_ms.checked_rem(*window_ms).unwrap_or(0);
            let seconds = window_ms.saturating_sub(into_window_ms).div_ceil(1000);
            headers.push(("retry-after", seconds.to_string()));
        }
        let body = match api {
            Api::OpenAiChat | Api::OpenAiResponses => {
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Api::AnthropicMessages => {
                json!({"type": "error", "error": {"type": anthropic_name(status), "message": message}})
            }
            Api::GeminiGenerate => {
                json!({"error": {"code": status, "message": message, "status": google_name(status)}})
            }
            Api::BedrockConverse => json!({"message": message}),
        };
        LocalReply { status, headers, body: body.to_string(), reason: code }
    }
}

/// Anthropic's error types (API reference, errors).
fn anthropic_name(status: u32) -> &'static str {
    match status {
        402 => "billing_error",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "invalid_request_error",
    }
}

/// Canonical codes of google.rpc.
fn google_name(status: u32) -> &'static str {
    match status {
        402 | 429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

/// Exceptions of the Bedrock runtime (Converse API reference).
fn aws_name(status: u32) -> &'static str {
    match status {
        402 | 429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

struct Description {
    status: u32,
    kind: &'static str,
    code: &'static str,
    message: String,
    retry: bool,
}

fn describe(refusal: &Refusal, exhausted: u32) -> Description {
    let invalid = |code, message: String| Description {
        status: 400,
        kind: "invalid_request_error",
        code,
        message,
        retry: false,
    };
    match refusal {
        Refusal::Exhausted { available, budget } => Description {
            status: exhausted,
            kind: "budget_exceeded",
            code: "session_budget_exceeded",
            message: format!("The session's budget is exhausted: {available} of {budget} USD are left."),
            retry: false,
        },
        Refusal::TenantExhausted { window_ms, .. } => Description {
            status: exhausted,
            kind: "budget_exceeded",
            code: "tenant_budget_exceeded",
            message: match window_ms {
                Some(_) => "The team's budget for this period is exhausted.".to_owned(),
                None => "The team's budget is exhausted.".to_owned(),
            },
            retry: false,
        },
        Refusal::ContextTooLong => {
            invalid("context_length_exceeded", "The request fits no model's context.".to_owned())
        }
        Refusal::NoCapableModel => {
            let message = "No model that this conversation can go to takes the request's images or tools.";
            invalid("no_capable_model", message.to_owned())
        }
        Refusal::TooManyInFlight => Description {
            status: 429,
            kind: "rate_limit_error",
            code: "too_many_turns_in_flight",
            message: "Too many turns of this session are in flight.".to_owned(),
            retry: true,
        },
        Refusal::TableUnavailable => Description {
            status: 503,
            kind: "server_error",
            code: "session_table_unavailable",
            message: "The session cannot be accounted for now.".to_owned(),
            retry: true,
        },
        Refusal::NoSession { expected } => {
            invalid("session_missing", format!("The request names no session; expected one of `{expected}`."))
        }
        Refusal::InvalidHeader { header, expected } => {
            invalid("invalid_header", format!("Header `{header}`: expected {expected}."))
        }
        Refusal::InvalidBody => invalid("invalid_body", "The request body is no JSON object.".to_owned()),
        Refusal::UnknownModel { requested } => {
            invalid("model_not_found", format!("The model `{requested}` is not configured."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::example;
    use serde_json::Value;

    fn reply_to(refusal: &Refusal, path: &str) -> (LocalReply, Value) {
        let config = Config::from_json(example().to_string().as_bytes()).unwrap();
        let reply = LocalReply::new(refusal, &config, path, 3_600_000 * 5 + 1_800_000);
        let body = serde_json::from_str(&reply.body).unwrap();
        (reply, body)
    }

    fn exhausted(path: &str) -> (LocalReply, Value) {
        let refusal = Refusal::Exhausted { available: NanoUsd(1_000_000), budget: NanoUsd(10_000_000) };
        reply_to(&refusal, path)
    }

    #[test]
    fn exhaustion_speaks_openai_and_forbids_retries() {
        let (reply, body) = exhausted("/v1/chat/completions");
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
        let (_, body) = exhausted("/v1/messages");
        assert_eq!(
            (body["type"].as_str(), body["error"]["type"].as_str()),
            (Some("error"), Some("rate_limit_error"))
        );
    }

    #[test]
    fn exhaustion_speaks_gemini_and_bedrock() {
        let (_, body) = exhausted("/v1beta/models/gemini-pro:streamGenerateContent");
        assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED");
        let (reply, body) = exhausted("/model/some.model/converse");
        assert!(body["message"].is_string());
        assert!(reply.headers.contains(&("x-amzn-errortype", "ThrottlingException".to_owned())));
    }

    #[test]
    fn a_budget_that_comes_back_says_when() {
        let refusal = Refusal::TenantExhausted { available: NanoUsd::ZERO, window_ms: Some(3_600_000) };
        let (reply, body) = reply_to(&refusal, "/v1/chat/completions");
        assert_eq!(body["error"]["code"], "tenant_budget_exceeded");
        assert!(reply.headers.contains(&("retry-after", "1800".to_owned())));
    }
}
