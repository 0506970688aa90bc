//! Answers in the form of each API, whole or as a stream of events.

pub mod chat;
pub mod generate;
pub mod messages;
pub mod responses;

use serde_json::{Value, json};

use super::bill::Used;
use super::refusal::Refusal;
use super::reply::Reply;
use super::turn::Turn;
use crate::sdk::models::{Model, Provider};

/// Output tokens in one event.
const TOKENS_PER_EVENT: u64 = 3;
/// When all answers were made, seconds since the epoch.
const CREATED: u64 = 1_800_000_000;

/// What an answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// The model that answers.
    pub model: &'a Model,
    /// The request.
    pub turn: &'a Turn,
    /// What the model says.
    pub reply: &'a Reply,
    /// What is billed.
    pub used: Used,
    /// A number that makes ids unique.
    pub number: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One JSON document.
    Json(Value),
    /// Server-sent events.
    Events(Vec<String>),
}

/// An event without a name.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event whose name is its type.
fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
}

/// An error in the form of a provider.
#[must_use]
pub fn error(provider: Provider, refusal: &Refusal) -> Value {
    let Refusal { status, message, code } = refusal;
    match provider {
        Provider::OpenAi => {
            let kind = if *status >= 500 { "server_error" } else { "invalid_request_error" };
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        }
        Provider::Anthropic => {
            let kind = match status {
                404 => "not_found_error",
                503 | 529 => "overloaded_error",
                500.. => "api_error",
                _ => "invalid_request_error",
            };
            json!({
                "type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011",
            })
        }
        Provider::Google => {
            let kind = match status {
                404 => "NOT_FOUND",
                500.. => "UNAVAILABLE",
                _ => "INVALID_ARGUMENT",
            };
            json!({"error": {"code": status, "message": message, "status": kind}})
        }
    }
}
