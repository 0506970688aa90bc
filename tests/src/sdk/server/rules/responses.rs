//! OpenAI responses: what `POST /v1/responses` takes.
//!
//! Sources: openai-openapi `CreateResponse` (as openai-python 3.57 has it in `types/responses/response_create_params.py` and
//! `response_input_item_param.py`), developers.openai.com/api/docs/guides/{reasoning, conversation-state,
//! structured-outputs}; the words of errors are the API's. The servers store nothing.

use serde_json::{Value, json};

use super::{common, openai};
use crate::sdk::models::{Model, Provider};
use crate::sdk::server::cache::Block;
use crate::sdk::server::refusal::{
    Refusal, Unknown, ensure, invalid, list, list_or_none, member, not_found, only, text, truth, whole, word,
};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::{self, Image};
use crate::sdk::server::turn::{Choice, Turn, Understood};

const MEMBERS: [&str; 34] = [
    "access_programs",
    "background",
    "background_options",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const UNKNOWN: Unknown = Unknown(|name| format!("Unknown parameter: '{name}'."));

/// Reads a request.
///
/// # Errors
/// Why the server refuses it.
pub fn read(model: &Model, body: Value) -> Understood {
    only(&body, "", &MEMBERS, UNKNOWN)?;
    openai::model(model, &body)?;
    let mut turn = Turn { thinks: true, frame: tokens::REQUEST, ..Turn::default() };
    turn.limit = whole(&body, "max_output_tokens", 16..=model.most_output)?;
    openai::sampling(&body)?;
    openai::metadata(&body)?;
    word(&body, "service_tier", &openai::TIERS)?;
    word(&body, "truncation", &["auto", "disabled"])?;
    turn.stream = truth(&body, "stream")?.unwrap_or(false);
    if let Some(options) = member(&body, "stream_options") {
        ensure(turn.stream, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")?;
        only(options, "stream_options", &["include_obfuscation"], UNKNOWN)?;
    }
    ensure(
        truth(&body, "store")? == Some(false),
        "these servers store nothing, and 'store' is true by default",
    )?;
    if let Some(id) = member(&body, "previous_response_id") {
        return Err(not_found(
            format!("Previous response with id {id} not found."),
            "previous_response_not_found",
        ));
    }
    for wanted in list_or_none(&body, "include")? {
        let known = ["reasoning.encrypted_content", "message.output_text.logprobs"];
        ensure(known.iter().any(|one| wanted == one), format!("Invalid value for 'include': {wanted}"))?;
        turn.encrypted |= wanted == known[0];
    }
    reasoning(&mut turn, &body)?;
    tools(&mut turn, &body)?;
    format(&mut turn, &body)?;
    if let Some(instructions) = member(&body, "instructions") {
        let said = instructions.as_str().ok_or_else(|| invalid("Invalid type for 'instructions'."))?;
        turn.blocks.push(Block::new(instructions, tokens::MESSAGE + tokens::of_text(said)));
    }
    match &body["input"] {
        Value::String(said) => {
            turn.prompt = said.clone();
            turn.blocks.push(Block::new(&body["input"], tokens::MESSAGE + tokens::of_text(said)));
        }
        Value::Array(items) => input(model, &mut turn, items)?,
        _ => return Err(invalid("Missing required parameter: 'input'.")),
    }
    turn.request = body;
    Ok(turn)
}

fn reasoning(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    let Some(reasoning) = member(body, "reasoning") else { return Ok(()) };
    only(reasoning, "reasoning", &["context", "effort", "generate_summary", "mode", "summary"], UNKNOWN)?;
    word(reasoning, "effort", &openai::EFFORTS)?;
    word(reasoning, "summary", &["auto", "concise", "detailed"])?;
    turn.thinks = reasoning["effort"] != "none";
    turn.shows_thinking = member(reasoning, "summary").is_some();
    Ok(())
}

fn tools(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    for (number, tool) in list_or_none(body, "tools")?.iter().enumerate() {
        let at = format!("tools[{number}]");
        ensure(tool["type"] == "function", format!("Invalid value for '{at}.type': {}", tool["type"]))?;
        let further = ["type", "allowed_callers", "defer_loading", "output_schema"];
        turn.tools.push(openai::function(tool, &at, &further)?);
        turn.blocks.push(Block::of_json(tool));
    }
    truth(body, "parallel_tool_calls")?;
    turn.choice = match member(body, "tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => openai::choice(word)?,
        Some(named) => Choice::Named(text(named, "name", "tool_choice")?.to_owned()),
    };
    let needs_tools = matches!(turn.choice, Choice::Any | Choice::Named(_));
    ensure(
        !needs_tools || !turn.tools.is_empty(),
        "Tool choice 'required' must be specified with 'tools' parameter.",
    )
}

fn format(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    let Some(wanted) = member(body, "text") else { return Ok(()) };
    only(wanted, "text", &["format", "verbosity"], UNKNOWN)?;
    word(wanted, "verbosity", &["low", "medium", "high"])?;
    match wanted["format"]["type"].as_str() {
        None | Some("text") => Ok(()),
        Some("json_schema") => {
            turn.schema = Some(openai::schema(&wanted["format"], "text.format")?);
            turn.blocks.push(Block::of_json(&wanted["format"]));
            Ok(())
        }
        Some(other) => Err(invalid(format!("Invalid value for 'text.format.type': '{other}'"))),
    }
}

fn input(model: &Model, turn: &mut Turn, items: &[Value]) -> Result<(), Refusal> {
    let (mut open, mut reasoned): (Vec<String>, bool) = (Vec::new(), false);
    for (number, item) in items.iter().enumerate() {
        let at = format!("input[{number}]");
        let mut weight = tokens::MESSAGE;
        match item["type"].as_str().unwrap_or("message") {
            "message" => weight += message(turn, item, &at)?,
            "function_call" => {
                only(item, &at, &["type", "id", "call_id", "name", "arguments", "status"], UNKNOWN)?;
                // guides/reasoning, "Keeping reasoning items in context".
                ensure(
                    reasoned || member(item, "id").is_none(),
                    format!(
                        "Item {} of type 'function_call' was provided without its required 'reasoning' item.",
                        item["id"]
                    ),
                )?;
                common::json_object(text(item, "arguments", &at)?)?;
                open.push(text(item, "call_id", &at)?.to_owned());
                weight += tokens::of_text(&json!([item["name"], item["arguments"]]).to_string());
                turn.results.clear();
            }
            "function_call_output" => {
                only(item, &at, &["type", "id", "call_id", "output", "status"], UNKNOWN)?;
                let id = text(item, "call_id", &at)?;
                let known = open.iter().position(|call| call == id);
                let known = known.ok_or_else(|| {
                    invalid(format!("No tool call found for function call output with call_id {id}."))
                })?;
                open.remove(known);
                let said = text(item, "output", &at)?;
                weight += tokens::of_text(said);
                turn.results.push(said.to_owned());
            }
            "reasoning" => {
                only(
                    item,
                    &at,
                    &["type", "id", "summary", "content", "encrypted_content", "status"],
                    UNKNOWN,
                )?;
                let Some(sealed) = member(item, "encrypted_content").and_then(Value::as_str) else {
                    return Err(not_found(
                        format!(
                            "Item with id {} not found. Items are not persisted when `store` is set to false.",
                            item["id"]
                        ),
                        "item_not_found",
                    ));
                };
                let thought = signature::unseal(model.name, sealed);
                let thought = thought.ok_or_else(|| Refusal {
                    code: Some("invalid_encrypted_content"),
                    ..invalid(format!(
                        "The encrypted content for item {} could not be verified. Reason: Encrypted content could \
                         not be decrypted or parsed.",
                        item["id"]
                    ))
                })?;
                weight += tokens::of_text(&thought);
                reasoned = true;
            }
            other => {
                return Err(invalid(format!("Invalid value: '{other}'. Supported values are: 'message', …")));
            }
        }
        turn.blocks.push(Block::new(item, weight));
    }
    ensure(open.is_empty(), format!("No tool output found for function call {}.", open.join(", ")))
}

/// Checks a message and returns the tokens of its text.
fn message(turn: &mut Turn, item: &Value, at: &str) -> Result<u64, Refusal> {
    only(item, at, &["type", "role", "content", "id", "status", "phase"], UNKNOWN)?;
    let role = word(item, "role", &["user", "assistant", "system", "developer"])?
        .ok_or_else(|| invalid(format!("Missing required parameter: '{at}.role'.")))?;
    let mut said = String::new();
    if let Some(text) = item["content"].as_str() {
        said.push_str(text);
    } else {
        for part in list(item, "content")? {
            match (part["type"].as_str(), role) {
                (Some("input_text"), "user" | "system" | "developer") => {
                    only(part, &format!("{at}.content[]"), &["type", "text"], UNKNOWN)?;
                    said.push_str(text(part, "text", at)?);
                }
                (Some("output_text"), "assistant") => {
                    let known = ["type", "text", "annotations", "logprobs"];
                    only(part, &format!("{at}.content[]"), &known, UNKNOWN)?;
                    said.push_str(text(part, "text", at)?);
                }
                (Some("input_image"), "user") => {
                    only(part, &format!("{at}.content[]"), &["type", "image_url", "detail"], UNKNOWN)?;
                    word(part, "detail", &["auto", "low", "high", "original"])?;
                    let image = Image::of_url(text(part, "image_url", at)?)?;
                    turn.frame += image.tokens(Provider::OpenAi);
                    turn.images.push(image);
                }
                _ => {
                    return Err(invalid(format!(
                        "Invalid value for '{at}.content[].type': {}",
                        part["type"]
                    )));
                }
            }
        }
    }
    let weight = tokens::of_text(&said);
    if role == "user" {
        turn.prompt = said;
    }
    turn.results.clear();
    Ok(weight)
}
