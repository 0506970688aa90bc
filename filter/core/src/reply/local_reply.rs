//! Answers that the filter gives itself, in the shape that the caller's client library understands.
//!
//! | API ([`Api`], by path) | shape |
//! |---|---|
//! | OpenAI | `{"error": {"message", "type", "param", "code"}}` |
//! | Anthropic | `{"type": "error", "error": {"type", "message"}}` |
//! | Gemini | `{"error": {"code", "message", "status"}}` |
//! | Bedrock Converse | `{"message"}`, and the kind in `x-amzn-errortype` |
//!
//! Client libraries retry 429 by themselves. A session's budget is never renewed, so `x-should-retry: false` tells them
//! not to. A tenant's budget per window is, as is a caller's number of new sessions: `retry-after` says when.

use serde_json::json;

use crate::body::facts::Forbidden;
use crate::config::Config;
use crate::decide::capable::Lack;
use crate::decide::reason::Reason;
use crate::money::NanoUsd;
use crate::one_line::OneLine;
use crate::request::api::Api;
use crate::request::head::{HeadFault, HeadRefusal};

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
    /// The prompt exceeds every model's context window.
    ContextTooLong,
    /// No model that the conversation can go to can take the request.
    NoCapableModel {
        /// What of it the model that takes most of it does not take.
        lack: Option<Lack>,
    },
    /// The session, or the tenant or address that it belongs to, has too many turns in flight.
    TooManyInFlight,
    /// The caller has begun as many sessions as it may in this window.
    TooManyNewSessions {
        /// Length of the window.
        window_ms: u64,
    },
    /// Tenants have budgets, and the request names none of them.
    TenantUnknown,
    /// The session table is full or cannot be used.
    TableUnavailable,
    /// The request names no session and the configuration wants one.
    NoSession {
        /// The sources that are configured.
        expected: String,
    },
    /// A trusted header has an invalid value.
    InvalidHeader {
        /// Its name.
        header: String,
        /// The values that are accepted.
        expected: &'static str,
    },
    /// The body is not a JSON object.
    InvalidBody,
    /// The body asks for something that is not allowed.
    Forbidden(Forbidden),
    /// The call is neither counted nor free.
    UnknownCall,
    /// The body has a content encoding.
    Encoded {
        /// The first characters of the encoding.
        encoding: String,
    },
    /// The requested model is not configured.
    UnknownModel {
        /// The first characters of its name.
        requested: String,
    },
}

/// A response that the filter sends itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body.
    pub body: String,
    /// Reason in records.
    pub reason: Reason,
}

impl LocalReply {
    /// The reply to a request that is refused by its headers.
    #[must_use]
    pub fn to_head(refusal: HeadRefusal, config: &Config) -> LocalReply {
        let HeadRefusal { api, fault } = refusal;
        let refusal = match fault {
            HeadFault::Header { name, expected } => Refusal::InvalidHeader { header: name, expected },
            HeadFault::UnknownCall => Refusal::UnknownCall,
            HeadFault::Encoded { encoding } => Refusal::Encoded { encoding },
        };
        LocalReply::new(&refusal, config, api, 0)
    }

    /// The reply for a refusal at this time, in the shape of `api`.
    #[must_use]
    pub fn new(refusal: &Refusal, config: &Config, api: Api, now_ms: u64) -> LocalReply {
        let Description { status, kind, reason, message, retry } =
            describe(refusal, config.budget.exhausted_status);
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-should-retry", retry.to_string()),
            ("x-seqroute-reason", reason.as_str().to_owned()),
        ];
        if api == Api::BedrockConverse {
            headers.push(("x-amzn-errortype", aws_name(status).to_owned()));
        }
        if let Refusal::TenantExhausted { window_ms: Some(window_ms), .. }
        | Refusal::TooManyNewSessions { window_ms } = refusal
        {
            let into_window_ms = now_ms.checked_rem(*window_ms).unwrap_or(0);
            let seconds = window_ms.saturating_sub(into_window_ms).div_ceil(1000);
            headers.push(("retry-after", seconds.to_string()));
        }
        if let Refusal::Encoded { .. } = refusal {
            // The encodings that a request may have (RFC 9110, section 15.5.16).
            headers.push(("accept-encoding", "identity".to_owned()));
        }
        let body = match api {
            Api::OpenAiChat | Api::OpenAiResponses => {
                json!({"error": {"message": message, "type": kind, "param": null, "code": reason.as_str()}})
            }
            Api::AnthropicMessages => {
                json!({"type": "error", "error": {"type": anthropic_name(status), "message": message}})
            }
            Api::GeminiGenerate => {
                json!({"error": {"code": status, "message": message, "status": google_name(status)}})
            }
            Api::BedrockConverse => json!({"message": message}),
        };
        LocalReply { status, headers, body: body.to_string(), reason }
    }
}

/// Anthropic's error types (API reference, errors).
fn anthropic_name(status: u32) -> &'static str {
    match status {
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "invalid_request_error",
    }
}

/// Canonical codes of google.rpc.
fn google_name(status: u32) -> &'static str {
    match status {
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        503 => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

/// Exceptions of the Bedrock runtime (Converse API reference).
fn aws_name(status: u32) -> &'static str {
    match status {
        402 | 429 => "ThrottlingException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        503 => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

struct Description {
    status: u32,
    /// OpenAI's error type.
    kind: &'static str,
    reason: Reason,
    message: String,
    retry: bool,
}

fn describe(refusal: &Refusal, exhausted: u32) -> Description {
    let invalid = |reason, message: String| Description {
        status: 400,
        kind: "invalid_request_error",
        reason,
        message,
        retry: false,
    };
    match refusal {
        Refusal::Exhausted { available, budget } => Description {
            status: exhausted,
            kind: "budget_exceeded",
            reason: Reason::SessionBudgetExceeded,
            message: format!("The session's budget is exhausted: {available} of {budget} USD are left."),
            retry: false,
        },
        Refusal::TenantExhausted { window_ms, .. } => Description {
            status: exhausted,
            kind: "budget_exceeded",
            reason: Reason::TenantBudgetExceeded,
            message: match window_ms {
                Some(_) => "The team's budget for this period is exhausted.".to_owned(),
                None => "The team's budget is exhausted.".to_owned(),
            },
            retry: false,
        },
        Refusal::ContextTooLong => {
            let message = "The prompt exceeds every configured model's context window.";
            invalid(Reason::ContextLengthExceeded, message.to_owned())
        }
        Refusal::NoCapableModel { lack } => {
            let what = lack.map_or_else(|| "the request".to_owned(), |lack| lack.to_string());
            invalid(
                Reason::NoCapableModel,
                format!("No model that is available to this conversation supports {what}."),
            )
        }
        Refusal::TooManyInFlight => Description {
            status: 429,
            kind: "rate_limit_error",
            reason: Reason::TooManyTurnsInFlight,
            message: "Too many turns of this session are in flight; retry.".to_owned(),
            retry: true,
        },
        Refusal::TooManyNewSessions { .. } => Description {
            status: 429,
            kind: "rate_limit_error",
            reason: Reason::TooManyNewSessions,
            message: "Too many new sessions; continue one, or retry later.".to_owned(),
            retry: true,
        },
        Refusal::TenantUnknown => Description {
            status: 403,
            kind: "permission_error",
            reason: Reason::TenantUnknown,
            message: "The request names no team that has a budget.".to_owned(),
            retry: false,
        },
        Refusal::TableUnavailable => Description {
            status: 503,
            kind: "server_error",
            reason: Reason::SessionTableUnavailable,
            message: "Budget accounting is temporarily unavailable; retry.".to_owned(),
            retry: true,
        },
        Refusal::NoSession { expected } => {
            let message = format!("The request has no session id; expected one of `{expected}`.");
            invalid(Reason::SessionMissing, message)
        }
        Refusal::InvalidHeader { header, expected } => {
            invalid(Reason::InvalidHeader, format!("Header `{header}`: expected {expected}."))
        }
        Refusal::InvalidBody => {
            invalid(Reason::InvalidBody, "The request body is not a JSON object.".to_owned())
        }
        Refusal::Forbidden(what) => invalid(Reason::RequestNotAllowed, forbidden_message(what)),
        Refusal::UnknownCall => Description {
            status: 404,
            ..invalid(Reason::CallNotAllowed, "This gateway does not serve this method and path.".to_owned())
        },
        Refusal::Encoded { encoding } => Description {
            status: 415,
            ..invalid(
                Reason::UnsupportedBody,
                format!(
                    "The content encoding `{}` is not supported; send the body uncompressed.",
                    OneLine(encoding)
                ),
            )
        },
        Refusal::UnknownModel { requested } => {
            invalid(Reason::ModelNotFound, format!("The model `{requested}` is not configured."))
        }
    }
}

fn forbidden_message(what: &Forbidden) -> String {
    match what {
        Forbidden::Member(name) => format!("The member `{}` is not allowed by this gateway.", OneLine(name)),
        Forbidden::Tool(kind) if kind.is_empty() => {
            "Tools without a readable `type` are not allowed by this gateway.".to_owned()
        }
        Forbidden::Tool(kind) => {
            format!(
                "Tools of type `{}` are billed by the call and not allowed by this gateway.",
                OneLine(kind)
            )
        }
        Forbidden::Stream => "The member `stream` must be `true` or `false`.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
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
        let refusal = Refusal::Exhausted { available: NanoUsd(1_000_000), budget: NanoUsd(10_000_000) };
        reply_to(&refusal, path)
    }

    #[test]
    fn exhaustion_has_openais_shape_and_forbids_retries() {
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
        let refusal = Refusal::TenantExhausted { available: NanoUsd::ZERO, window_ms: Some(3_600_000) };
        let (reply, body) = reply_to(&refusal, "/v1/chat/completions");
        assert_eq!(body["error"]["code"], "tenant_budget_exceeded");
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
    fn a_compressed_body_is_refused_by_the_name_of_its_encoding() {
        let refusal = Refusal::Encoded { encoding: "zstd".to_owned() };
        let (reply, body) = reply_to(&refusal, "/v1/responses");
        assert_eq!(reply.status, 415);
        assert!(body["error"]["message"].as_str().unwrap().contains("`zstd`"));
        assert!(reply.headers.contains(&("accept-encoding", "identity".to_owned())));
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
}
