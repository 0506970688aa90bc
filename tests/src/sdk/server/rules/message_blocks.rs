//! Anthropic messages: the blocks of a conversation.
//!
//! Sources: as in [`super::messages`]; which calls need results at once, and which thinking must stay, is in
//! …/build-with-claude/extended-thinking, "Preserving thinking blocks", and …/tool-use, "Handling tool use".

use serde_json::{Value, json};

use super::common;
use crate::sdk::models::{Model, Provider};
use crate::sdk::server::cache::Block;
use crate::sdk::server::refusal::{Refusal, Unknown, ensure, invalid, list, member, only, text, truth, word};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::{self, Image};
use crate::sdk::server::turn::Turn;

/// The words for an unknown member.
pub const UNKNOWN: Unknown = Unknown(|name| format!("{name}: Extra inputs are not permitted"));

/// Reads the messages.
///
/// # Errors
/// Why the server refuses them.
pub fn read(model: &Model, turn: &mut Turn, messages: &[Value]) -> Result<(), Refusal> {
    ensure(!messages.is_empty(), "messages: at least one message is required")?;
    let mut open: Vec<String> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = format!("messages.{number}");
        only(message, &at, &["role", "content"], UNKNOWN)?;
        let role = word(message, "role", &["user", "assistant"])?;
        let role = role.ok_or_else(|| invalid(format!("{at}.role: Field required")))?;
        let blocks = match &message["content"] {
            Value::String(said) => vec![json!({"type": "text", "text": said})],
            _ => list(message, "content")?.to_vec(),
        };
        ensure(!blocks.is_empty(), format!("{at}: all messages must have non-empty content"))?;
        let asked = std::mem::take(&mut open);
        let answered: Vec<&str> = blocks.iter().filter_map(|block| block["tool_use_id"].as_str()).collect();
        let missing: Vec<&str> =
            asked.iter().map(String::as_str).filter(|id| !answered.contains(id)).collect();
        ensure(
            missing.is_empty(),
            format!(
                "{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
                 block must have a corresponding `tool_result` block in the next message.",
                missing.join(", ")
            ),
        )?;
        let unexpected = answered.iter().find(|id| !asked.iter().any(|one| one == *id));
        ensure(
            unexpected.is_none(),
            format!("{at}: unexpected `tool_use_id` found in `tool_result` blocks: {unexpected:?}"),
        )?;
        if role == "user" {
            turn.results.clear();
            turn.prompt.clear();
        }
        for (place, block) in blocks.iter().enumerate() {
            let at = format!("{at}.content.{place}");
            let weight = if role == "user" {
                of_user(turn, block, &at)?
            } else {
                of_assistant(model, block, &at, &mut open)?
            };
            turn.blocks.push(Block::new(block, weight));
        }
        let starts_with_thinking =
            blocks[0]["type"] == "thinking" || blocks[0]["type"] == "redacted_thinking";
        ensure(
            !(turn.thinks && role == "assistant" && !open.is_empty()) || starts_with_thinking,
            format!(
                "{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is \
                 enabled, a final `assistant` message must start with a thinking block.",
                blocks[0]["type"].as_str().unwrap_or_default()
            ),
        )?;
        turn.frame += tokens::MESSAGE;
    }
    ensure(
        open.is_empty(),
        "messages: `tool_use` ids were found without `tool_result` blocks immediately after",
    )
}

fn of_user(turn: &mut Turn, block: &Value, at: &str) -> Result<u64, Refusal> {
    cache_control(block)?;
    match block["type"].as_str() {
        Some("text") => {
            only(block, at, &["type", "text", "cache_control", "citations"], UNKNOWN)?;
            let said = text(block, "text", at)?;
            ensure(!said.is_empty(), format!("{at}: text content blocks must be non-empty"))?;
            turn.prompt.push_str(said);
            Ok(tokens::of_text(said))
        }
        Some("image") => {
            only(block, at, &["type", "source", "cache_control"], UNKNOWN)?;
            let source = &block["source"];
            only(source, &format!("{at}.source"), &["type", "media_type", "data"], UNKNOWN)?;
            let image = Image::read(text(source, "data", at)?, text(source, "media_type", at)?)?;
            turn.images.push(image);
            Ok(image.tokens(Provider::Anthropic))
        }
        Some("tool_result") => {
            only(block, at, &["type", "tool_use_id", "content", "is_error", "cache_control"], UNKNOWN)?;
            truth(block, "is_error")?;
            let said = match member(block, "content") {
                None => String::new(),
                Some(Value::String(said)) => said.clone(),
                Some(_) => {
                    let parts = list(block, "content")?;
                    parts.iter().map(|part| text(part, "text", at)).collect::<Result<Vec<_>, _>>()?.concat()
                }
            };
            let weight = tokens::of_text(&said);
            turn.results.push(said);
            Ok(weight)
        }
        _ => {
            Err(invalid(format!("{at}: Input tag {} does not match any of the expected tags", block["type"])))
        }
    }
}

fn of_assistant(model: &Model, block: &Value, at: &str, open: &mut Vec<String>) -> Result<u64, Refusal> {
    match block["type"].as_str() {
        Some("text") => {
            only(block, at, &["type", "text", "cache_control", "citations"], UNKNOWN)?;
            Ok(tokens::of_text(text(block, "text", at)?))
        }
        Some("thinking") => {
            only(block, at, &["type", "thinking", "signature"], UNKNOWN)?;
            let thought = text(block, "thinking", at)?;
            let signature = text(block, "signature", at)?;
            // Thinking that is not shown is signed all the same.
            let holds = signature::holds(model.name, thought, signature)
                || thought.is_empty() && signature::unseal(model.name, signature).is_some();
            ensure(holds, format!("{at}: Invalid `signature` in `thinking` block"))?;
            Ok(tokens::of_text(thought))
        }
        Some("tool_use") => {
            only(block, at, &["type", "id", "name", "input", "cache_control", "caller"], UNKNOWN)?;
            common::tool_name(text(block, "name", at)?, 128)?;
            ensure(
                block["input"].is_object(),
                format!("{at}.tool_use.input: Input should be a valid dictionary"),
            )?;
            let id = text(block, "id", at)?;
            ensure(id.starts_with("toolu_"), format!("{at}.tool_use.id: found {id}"))?;
            open.push(id.to_owned());
            Ok(tokens::of_text(&block["input"].to_string()))
        }
        _ => {
            Err(invalid(format!("{at}: Input tag {} does not match any of the expected tags", block["type"])))
        }
    }
}

/// Refuses a malformed mark for the cache.
///
/// # Errors
/// When it is one.
pub fn cache_control(block: &Value) -> Result<(), Refusal> {
    let Some(mark) = member(block, "cache_control") else { return Ok(()) };
    only(mark, "cache_control", &["type", "ttl"], UNKNOWN)?;
    ensure(mark["type"] == "ephemeral", "cache_control.type: Input should be 'ephemeral'")?;
    word(mark, "ttl", &["5m", "1h"]).map(|_| ())
}
