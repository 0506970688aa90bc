//! Anthropic messages: what `POST /v1/messages` takes.
//!
//! Sources: platform.claude.com/docs/en/api/messages (as anthropic-python 2.14 has it in
//! `types/message_create_params.py`), …/build-with-claude/{extended-thinking, adaptive-thinking, effort, tool-use,
//! prompt-caching, structured-outputs}; the words of errors are the API's.

use serde_json::Value;

use super::common;
use super::message_blocks::{self, UNKNOWN};
use crate::sdk::models::Model;
use crate::sdk::server::cache::Block;
use crate::sdk::server::refusal::{
    Refusal, ensure, invalid, list, list_or_none, member, not_found, number, only, text, truth, whole, word,
};
use crate::sdk::server::schema;
use crate::sdk::server::tokens;
use crate::sdk::server::turn::{Choice, Tool, Turn, Understood};

const MEMBERS: [&str; 22] = [
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
];

/// Reads a request. One that only counts its tokens has neither a limit nor a stream.
///
/// # Errors
/// Why the server refuses it.
pub fn read(model: &Model, body: Value, counts_only: bool) -> Understood {
    only(&body, "", &MEMBERS, UNKNOWN)?;
    let name = text(&body, "model", "")?;
    if name != model.name {
        return Err(not_found(format!("model: {name}"), "not_found_error"));
    }
    let mut turn = Turn { frame: tokens::REQUEST, ..Turn::default() };
    if counts_only {
        let kept = ["max_tokens", "stream", "temperature", "top_k", "top_p", "stop_sequences", "metadata"];
        ensure(
            kept.iter().all(|name| body.get(name).is_none()),
            "max_tokens: Extra inputs are not permitted",
        )?;
    } else {
        turn.limit = whole(&body, "max_tokens", 1..=model.most_output)?;
        ensure(turn.limit.is_some(), "max_tokens: Field required")?;
    }
    turn.stream = truth(&body, "stream")?.unwrap_or(false);
    word(&body, "service_tier", &["auto", "standard_only"])?;
    let temperature = number(&body, "temperature", 0.0..=1.0)?;
    whole(&body, "top_k", 0..=500)?;
    number(&body, "top_p", 0.0..=1.0)?;
    if let Some(metadata) = member(&body, "metadata") {
        only(metadata, "metadata", &["user_id"], UNKNOWN)?;
    }
    tools(&mut turn, &body)?;
    thinking(model, &mut turn, &body)?;
    ensure(
        !turn.thinks || temperature.is_none_or(|value| (value - 1.0).abs() < f64::EPSILON),
        "`temperature` may only be set to 1 when thinking is enabled.",
    )?;
    output_config(model, &mut turn, &body)?;
    system(&mut turn, &body)?;
    message_blocks::read(model, &mut turn, list(&body, "messages")?)?;
    // "Automatically applies a cache_control marker to the last cacheable block in the request."
    if let Some(mark) = member(&body, "cache_control") {
        message_blocks::cache_control(&body)?;
        let last = turn.blocks.last_mut().filter(|block| block.keep.is_none());
        last.into_iter().for_each(|block| block.mark(mark));
    }
    let marks = turn.blocks.iter().filter(|block| block.keep.is_some()).count();
    ensure(marks <= 4, format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}."))?;
    turn.request = body;
    Ok(turn)
}

fn tools(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    for (number, tool) in list_or_none(body, "tools")?.iter().enumerate() {
        let at = format!("tools.{number}");
        let known = [
            "type",
            "name",
            "description",
            "input_schema",
            "cache_control",
            "strict",
            "allowed_callers",
            "defer_loading",
            "eager_input_streaming",
            "input_examples",
        ];
        only(tool, &at, &known, UNKNOWN)?;
        word(tool, "type", &["custom"])?;
        let name = text(tool, "name", &at)?;
        common::tool_name(name, 128)?;
        let schema = &tool["input_schema"];
        ensure(schema["type"] == "object", format!("{at}.custom.input_schema.type: Field required"))?;
        if truth(tool, "strict")? == Some(true) {
            schema::ensure_closed(schema, name)?;
        }
        turn.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
        turn.blocks.push(Block::new(tool, tokens::of_text(&tool.to_string())));
    }
    if turn.tools.is_empty() {
        return ensure(
            member(body, "tool_choice").is_none(),
            "tool_choice may only be specified while providing tools.",
        );
    }
    turn.frame += tokens::TOOLS;
    let Some(choice) = member(body, "tool_choice") else { return Ok(()) };
    only(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"], UNKNOWN)?;
    turn.choice = match choice["type"].as_str() {
        Some("auto") => Choice::Auto,
        Some("none") => Choice::None,
        Some("any") => Choice::Any,
        Some("tool") => Choice::Named(text(choice, "name", "tool_choice")?.to_owned()),
        _ => return Err(invalid("tool_choice: Input does not match any of the expected tags")),
    };
    Ok(())
}

fn thinking(model: &Model, turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    let Some(thinking) = member(body, "thinking") else { return Ok(()) };
    only(thinking, "thinking", &["type", "budget_tokens", "display"], UNKNOWN)?;
    word(thinking, "display", &["summarized", "omitted"])?;
    turn.thinks = true;
    turn.shows_thinking = thinking["display"] != "omitted";
    match thinking["type"].as_str() {
        Some("enabled") => {
            let budget = whole(thinking, "budget_tokens", 0..=u64::MAX)?.unwrap_or(0);
            let least = model.thinking.0;
            ensure(
                budget >= least,
                format!("thinking.enabled.budget_tokens: Input should be greater than or equal to {least}"),
            )?;
            ensure(
                turn.limit.is_none_or(|limit| budget < limit),
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
                 https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
            )?;
        }
        Some("adaptive") => {
            ensure(model.adaptive, "adaptive thinking is not supported on this model")?;
        }
        Some("disabled") => turn.thinks = false,
        _ => return Err(invalid("thinking: Input tag does not match any of the expected tags")),
    }
    let forced = matches!(turn.choice, Choice::Any | Choice::Named(_));
    ensure(!(turn.thinks && forced), "Thinking may not be enabled when tool_choice forces tool use.")
}

fn output_config(model: &Model, turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    let Some(config) = member(body, "output_config") else { return Ok(()) };
    only(config, "output_config", &["effort", "format", "task_budget"], UNKNOWN)?;
    if word(config, "effort", &["low", "medium", "high", "xhigh", "max"])?.is_some() {
        ensure(model.adaptive, "This model does not support the effort parameter.")?;
    }
    let Some(format) = member(config, "format") else { return Ok(()) };
    only(format, "output_config.format", &["type", "schema"], UNKNOWN)?;
    ensure(format["type"] == "json_schema", "output_config.format.type: Input should be 'json_schema'")?;
    schema::ensure_closed(&format["schema"], "output_config.format.schema")?;
    turn.schema = Some(format["schema"].clone());
    turn.frame += tokens::of_text(&format.to_string());
    Ok(())
}

fn system(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    match member(body, "system") {
        None => Ok(()),
        Some(Value::String(said)) => {
            turn.blocks.push(Block::new(&body["system"], tokens::MESSAGE + tokens::of_text(said)));
            Ok(())
        }
        Some(Value::Array(blocks)) => blocks.iter().try_for_each(|block| {
            only(block, "system", &["type", "text", "cache_control", "citations"], UNKNOWN)?;
            let said = text(block, "text", "system")?;
            ensure(!said.is_empty(), "system: text content blocks must be non-empty")?;
            message_blocks::cache_control(block)?;
            turn.blocks.push(Block::new(block, tokens::MESSAGE + tokens::of_text(said)));
            Ok(())
        }),
        Some(_) => Err(invalid("system: Input should be a valid string or array")),
    }
}
