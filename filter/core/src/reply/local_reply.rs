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
//! not to, and on OpenAI's paths `insufficient_quota`, OpenAI's own word for it, by which clients show the message and stop.
//! Money that turns in flight hold may come back, a tenant's budget per window is renewed, as is a caller's number of new
//! sessions: `retry-after` says when (Gemini: `RetryInfo`), and none of these is called exhausted but the tenant's.

use serde_json::json;

use crate::answer::plausible::MOST_ANSWERS;
use crate::body::facts::Forbidden;
use crate::config::Config;
use crate::decide::capable::Lack;
use crate::decide::reason::Reason;
use crate::money::NanoUsd;
use crate::one_line::OneLine;
use crate::request::api::Api;
use crate::request::head::{HeadFault, HeadRefusal};

/// OpenAI's error type and code where money lacks.
const QUOTA: &str = "insufficient_quota";
/// After so many seconds it is worth while to look whether a turn in flight has ended.
const SECONDS_OF_A_TURN: u64 = 2;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No model is affordable with what the session has left.
    Exhausted {
        /// What the turn needs at least.
        needed: NanoUsd,
        /// What is not spent yet.
        left: NanoUsd,
        /// What of it turns in flight hold.
        outstanding: NanoUsd,
        /// The session's budget.
        budget: NanoUsd,
        /// Output tokens below which the answer may not be cut.
        least_output_tokens: u64,
    },
    /// The session has the money, but turns in flight hold it.
    MoneyInFlight {
        /// What the turn needs at least.
        needed: NanoUsd,
        /// What may be reserved now.
        available: NanoUsd,
        /// What turns in flight hold.
        outstanding: NanoUsd,
    },
    /// The session has money left, but its tenant's budget is used up.
    TenantExhausted {
        /// What may still be reserved.
        available: NanoUsd,
        /// What the turn needs at least.
        needed: NanoUsd,
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
    UnknownCall {
        /// Why it is not served.
        reason: &'static str,
    },
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
            HeadFault::UnknownCall { reason } => Refusal::UnknownCall { reason },
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
        let retry_after = refusal.retry_after(now_ms);
        if let Some(seconds) = retry_after {
            headers.push(("retry-after", seconds.to_string()));
        }
        if let Refusal::Encoded { .. } = refusal {
            // The encodings that a request may have (RFC 9110, section 15.5.16).
            headers.push(("accept-encoding", "identity".to_owned()));
        }
        let body = match api {
            Api::OpenAiChat | Api::OpenAiResponses => {
                let code = if kind == QUOTA { QUOTA } else { reason.as_str() };
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Api::AnthropicMessages => {
                let mut error = json!({"type": anthropic_name(status), "message": message});
                if let (Refusal::Forbidden(Forbidden::Member(name)), Some(error)) =
                    (refusal, error.as_object_mut())
                    && name == "thread"
                {
                    // Anthropic's libraries then go on without one.
                    let details =
                        json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
                    error.insert("details".to_owned(), details);
                }
                json!({"type": "error", "error": error})
            }
            Api::GeminiGenerate => {
                let mut error = json!({"code": status, "message": message, "status": google_name(status)});
                if let (Some(seconds), Some(error)) = (retry_after, error.as_object_mut()) {
                    let kind = "type.googleapis.com/google.rpc.RetryInfo";
                    let details = json!([{"@type": kind, "retryDelay": format!("{seconds}s")}]);
                    error.insert("details".to_owned(), details);
                }
                json!({"error": error})
            }
            Api::BedrockConverse => json!({"message": message}),
        };
        LocalReply { status, headers, body: body.to_string(), reason }
    }
}

impl Refusal {
    /// After how many seconds a retry may succeed, where that is known.
    fn retry_after(&self, now_ms: u64) -> Option<u64> {
        match self {
            Refusal::TenantExhausted { window_ms: Some(window_ms), .. }
            | Refusal::TooManyNewSessions { window_ms } => {
                let into_window_ms = now_ms.checked_rem(*window_ms).unwrap_or(0);
                Some(window_ms.saturating_sub(into_window_ms).div_ceil(1000))
            }
            Refusal::MoneyInFlight { .. } => Some(SECONDS_OF_A_TURN),
            _ => None,
        }
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
        Refusal::Exhausted { needed, left, outstanding, budget, least_output_tokens } => {
            let held = match *outstanding {
                NanoUsd::ZERO => String::new(),
                held => format!(" ({held} USD of them held by turns in flight)"),
            };
            let output = match *least_output_tokens {
                // Several answers need a token each; what needs more output than that asks for thinking.
                0..=MOST_ANSWERS => String::new(),
                tokens => format!(", since its answer may not be cut below {tokens} tokens"),
            };
            let message = format!(
                "The session's budget is exhausted: {left} of {budget} USD are left{held}, and this turn needs {needed} USD{output}."
            );
            Description {
                status: exhausted,
                kind: QUOTA,
                reason: Reason::SessionBudgetExceeded,
                message,
                retry: false,
            }
        }
        Refusal::MoneyInFlight { needed, available, outstanding } => Description {
            status: 429,
            kind: "rate_limit_error",
            reason: Reason::MoneyInFlight,
            message: format!(
                "This turn needs {needed} USD and {available} USD are free now: turns in flight hold {outstanding} USD; retry."
            ),
            retry: true,
        },
        Refusal::TenantExhausted { available, needed, window_ms } => {
            let period = if window_ms.is_some() { " for this period" } else { "" };
            let message = format!(
                "The team's budget{period} is exhausted: {available} USD are left, and this turn needs {needed} USD."
            );
            Description {
                status: exhausted,
                kind: QUOTA,
                reason: Reason::TenantBudgetExceeded,
                message,
                retry: false,
            }
        }
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
        Refusal::UnknownCall { reason } => Description {
            status: 404,
            ..invalid(Reason::CallNotAllowed, format!("This gateway does not serve this call: {reason}."))
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
#[path = "local_reply_tests.rs"]
mod tests;
