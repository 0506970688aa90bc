//! Requests in the form of each API. Members are given as JSON text, so that anything can be written twice or oddly.

use crate::attack::marker::Marker;
use crate::attack::wire::Request;

fn with_comma(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!("{members},") }
}

/// Chat completions. `text` is a message of its own; `members` are further members of the body.
#[must_use]
pub fn chat(marker: &Marker, text: &str, members: &str) -> Request {
    let members = with_comma(members);
    Request::post(
        "/v1/chat/completions",
        format!(
            r#"{{"model":"auto",{members}"messages":[{{"role":"system","content":"Answer briefly. {marker}"}},{{"role":"user","content":"{text}"}}]}}"#
        ),
    )
}

/// Chat completions whose second message has these content parts.
#[must_use]
pub fn chat_parts(marker: &Marker, parts: &str, members: &str) -> Request {
    let members = with_comma(members);
    Request::post(
        "/v1/chat/completions",
        format!(
            r#"{{"model":"auto",{members}"messages":[{{"role":"system","content":"Answer briefly. {marker}"}},{{"role":"user","content":[{parts}]}}]}}"#
        ),
    )
}

/// Responses. `parts` are further content parts, each with a comma in front.
#[must_use]
pub fn responses(marker: &Marker, parts: &str, members: &str) -> Request {
    let members = with_comma(members);
    Request::post(
        "/v1/responses",
        format!(
            r#"{{"model":"auto",{members}"input":[{{"role":"user","content":[{{"type":"input_text","text":"Answer briefly. {marker}"}}{parts}]}}]}}"#
        ),
    )
}

/// Anthropic's messages. `parts` as for [`responses`].
#[must_use]
pub fn messages(marker: &Marker, parts: &str, members: &str) -> Request {
    let members = with_comma(members);
    Request::post(
        "/v1/messages",
        format!(
            r#"{{"model":"auto",{members}"messages":[{{"role":"user","content":[{{"type":"text","text":"Answer briefly. {marker}"}}{parts}]}}]}}"#
        ),
    )
    .header("anthropic-version", "2023-06-01")
}

/// Gemini. `parts` as for [`responses`].
#[must_use]
pub fn gemini(marker: &Marker, stream: bool, parts: &str, members: &str) -> Request {
    let members = with_comma(members);
    let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    Request::post(
        format!("/v1beta/models/auto:{method}"),
        format!(
            r#"{{{members}"contents":[{{"role":"user","parts":[{{"text":"Answer briefly. {marker}"}}{parts}]}}]}}"#
        ),
    )
}

/// Bedrock's Converse. `parts` as for [`responses`].
#[must_use]
pub fn converse(marker: &Marker, stream: bool, parts: &str, members: &str) -> Request {
    let members = with_comma(members);
    let method = if stream { "converse-stream" } else { "converse" };
    Request::post(
        format!("/model/auto/{method}"),
        format!(
            r#"{{{members}"messages":[{{"role":"user","content":[{{"text":"Answer briefly. {marker}"}}{parts}]}}]}}"#
        ),
    )
}

/// English text of this many bytes, about four and a half to a token.
#[must_use]
pub fn prose(bytes: usize) -> String {
    const TEXT: &str = "The committee read the report twice before it asked why the bridge had been closed for repairs \
                        in spring, when most of the traffic across the river comes from the market on the other bank. ";
    TEXT.chars().cycle().take(bytes).collect()
}
