//! OpenAI chat completions: what `POST /v1/chat/completions` takes.
//!
//! Sources: openai-openapi `CreateChatCompletionRequest` (as openai-python 3.57 has it in
//! `types/chat/completion_create_params.py`), developers.openai.com/api/docs/guides/{function-calling, structured-outputs,
//! reasoning, images-vision}; the words of errors are the API's.

use serde_json::Value;

use super::{common, openai};
use crate::sdk::models::{Model, Provider};
use crate::sdk::server::cache::Block;
use crate::sdk::server::refusal::{
    Refusal, Unknown, ensure, invalid, list, list_or_none, member, number, only, text, truth, whole, word,
};
use crate::sdk::server::tokens::{self, Image};
use crate::sdk::server::turn::{Choice, Turn, Understood};

const MEMBERS: [&str; 37] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const UNKNOWN: Unknown = Unknown(|name| format!("Unrecognized request argument supplied: {name}"));

/// Reads a request.
///
/// # Errors
/// Why the server refuses it.
pub fn read(model: &Model, body: Value) -> Understood {
    only(&body, "", &MEMBERS, UNKNOWN)?;
    openai::model(model, &body)?;
    let mut turn = Turn { thinks: true, frame: tokens::REQUEST, ..Turn::default() };
    ensure(
        member(&body, "max_tokens").is_none(),
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    )?;
    turn.limit = whole(&body, "max_completion_tokens", 1..=model.most_output)?;
    ensure(whole(&body, "n", 1..=8)?.is_none_or(|n| n == 1), "these servers make one answer")?;
    openai::sampling(&body)?;
    number(&body, "presence_penalty", -2.0..=2.0)?;
    number(&body, "frequency_penalty", -2.0..=2.0)?;
    word(&body, "reasoning_effort", &openai::EFFORTS)?;
    if body["reasoning_effort"] == "none" {
        turn.thinks = false;
    }
    word(&body, "service_tier", &openai::TIERS)?;
    word(&body, "verbosity", &["low", "medium", "high"])?;
    openai::metadata(&body)?;
    // As reported in tmc/langchaingo#1484 and QwenLM/qwen-code#243.
    let stores = truth(&body, "store")?.unwrap_or(false);
    ensure(
        stores || member(&body, "metadata").is_none(),
        "The 'metadata' parameter is only allowed when 'store' is enabled.",
    )?;
    turn.stream = truth(&body, "stream")?.unwrap_or(false);
    if let Some(options) = member(&body, "stream_options") {
        ensure(turn.stream, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")?;
        only(options, "stream_options", &["include_usage", "include_obfuscation"], UNKNOWN)?;
        turn.include_usage = truth(options, "include_usage")?.unwrap_or(false);
    }
    tools(&mut turn, &body)?;
    response_format(&mut turn, &body)?;
    messages(&mut turn, list(&body, "messages")?)?;
    turn.request = body;
    Ok(turn)
}

fn tools(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    for (number, tool) in list_or_none(body, "tools")?.iter().enumerate() {
        let at = format!("tools[{number}]");
        only(tool, &at, &["type", "function"], UNKNOWN)?;
        ensure(tool["type"] == "function", format!("Invalid value for '{at}.type': {}", tool["type"]))?;
        turn.tools.push(openai::function(&tool["function"], &format!("{at}.function"), &[])?);
        turn.blocks.push(Block::of_json(tool));
    }
    let has_tools = !turn.tools.is_empty();
    for name in ["tool_choice", "parallel_tool_calls"] {
        ensure(
            has_tools || member(body, name).is_none(),
            format!("'{name}' is only allowed when 'tools' are specified."),
        )?;
    }
    truth(body, "parallel_tool_calls")?;
    turn.choice = match member(body, "tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => openai::choice(word)?,
        Some(named) => Choice::Named(text(&named["function"], "name", "tool_choice.function")?.to_owned()),
    };
    Ok(())
}

fn response_format(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    let Some(format) = member(body, "response_format") else { return Ok(()) };
    match format["type"].as_str() {
        Some("text") => only(format, "response_format", &["type"], UNKNOWN),
        Some("json_schema") => {
            only(format, "response_format", &["type", "json_schema"], UNKNOWN)?;
            turn.schema = Some(openai::schema(&format["json_schema"], "response_format.json_schema")?);
            turn.blocks.push(Block::of_json(format));
            Ok(())
        }
        _ => Err(invalid(format!("Invalid value for 'response_format.type': {}", format["type"]))),
    }
}

fn messages(turn: &mut Turn, messages: &[Value]) -> Result<(), Refusal> {
    ensure(!messages.is_empty(), "Invalid 'messages': empty array.")?;
    let mut open: Vec<String> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = format!("messages[{number}]");
        let role = text(message, "role", &at)?;
        ensure(
            role == "tool" || open.is_empty(),
            format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
                 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
                open.join(", ")
            ),
        )?;
        match role {
            "system" | "developer" | "user" => {
                only(message, &at, &["role", "content", "name"], UNKNOWN)?;
                let said = content(turn, message, &at, role == "user")?;
                if role == "user" {
                    turn.prompt = said;
                    turn.results.clear();
                }
            }
            "assistant" => {
                let known = [
                    "role",
                    "content",
                    "refusal",
                    "name",
                    "audio",
                    "tool_calls",
                    "function_call",
                    "annotations",
                ];
                only(message, &at, &known, UNKNOWN)?;
                if member(message, "content").is_some() {
                    content(turn, message, &at, false)?;
                }
                turn.results.clear();
                for call in list_or_none(message, "tool_calls")? {
                    only(call, &format!("{at}.tool_calls[]"), &["id", "type", "function", "index"], UNKNOWN)?;
                    ensure(call.get("index").is_none(), "Unknown parameter: 'tool_calls[].index'.")?;
                    only(&call["function"], &format!("{at}.function"), &["name", "arguments"], UNKNOWN)?;
                    let arguments = text(&call["function"], "arguments", "function")?;
                    common::json_object(arguments)?;
                    open.push(text(call, "id", "tool_calls[]")?.to_owned());
                }
                ensure(
                    member(message, "content").is_some() || !open.is_empty(),
                    format!("Invalid value for '{at}.content': expected a string, got null."),
                )?;
            }
            "tool" => {
                only(message, &at, &["role", "content", "tool_call_id", "name"], UNKNOWN)?;
                let id = text(message, "tool_call_id", &at)?;
                let known = open.iter().position(|call| call == id);
                let known = known.ok_or_else(|| {
                    invalid(
                        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message \
                         with 'tool_calls'.",
                    )
                })?;
                open.remove(known);
                let said = content(turn, message, &at, false)?;
                turn.results.push(said);
            }
            other => {
                return Err(invalid(format!("Invalid value: '{other}'. Supported values are: 'system', …")));
            }
        }
        let shape = serde_json::json!([message["role"], message["content"], message["tool_calls"]]);
        turn.blocks.push(Block::new(&shape, tokens::MESSAGE + weight(message)));
    }
    ensure(
        open.is_empty(),
        format!("The following tool_call_ids did not have response messages: {}", open.join(", ")),
    )
}

/// Tokens of a message without its images.
fn weight(message: &Value) -> u64 {
    let texts = match &message["content"] {
        Value::String(text) => tokens::of_text(text),
        Value::Array(parts) => parts.iter().map(common::part_tokens).sum(),
        _ => 0,
    };
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    texts + calls.map(|call| tokens::of_text(&call["function"].to_string())).sum::<u64>()
}

/// Checks a message's content, and returns its text.
fn content(turn: &mut Turn, message: &Value, at: &str, images: bool) -> Result<String, Refusal> {
    if let Some(text) = message["content"].as_str() {
        return Ok(text.to_owned());
    }
    let mut said = String::new();
    for part in list(message, "content")? {
        match part["type"].as_str() {
            Some("text") => {
                only(part, &format!("{at}.content[]"), &["type", "text"], UNKNOWN)?;
                said.push_str(text(part, "text", at)?);
            }
            Some("image_url") if images => {
                only(part, &format!("{at}.content[]"), &["type", "image_url"], UNKNOWN)?;
                let image = &part["image_url"];
                only(image, &format!("{at}.image_url"), &["url", "detail"], UNKNOWN)?;
                word(image, "detail", &["auto", "low", "high", "original"])?;
                let image = Image::of_url(text(image, "url", at)?)?;
                turn.frame += image.tokens(Provider::OpenAi);
                turn.images.push(image);
            }
            _ => return Err(invalid(format!("Invalid value for '{at}.content[].type': {}", part["type"]))),
        }
    }
    Ok(said)
}
