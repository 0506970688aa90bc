//! What rules of several APIs share.

use serde_json::Value;

use crate::sdk::server::refusal::{Refusal, invalid};
use crate::sdk::server::tokens;

/// Refuses a text that is not a JSON object, where a call's arguments must be one.
///
/// # Errors
/// When it is not.
pub fn json_object(text: &str) -> Result<Value, Refusal> {
    let value: Option<Value> = serde_json::from_str(text).ok();
    value.filter(Value::is_object).ok_or_else(|| invalid("Invalid arguments: expected a JSON object."))
}

/// Tokens of a part's text.
#[must_use]
pub fn part_tokens(part: &Value) -> u64 {
    part["text"].as_str().map_or(0, tokens::of_text)
}

/// Refuses the name of a tool that providers refuse.
///
/// # Errors
/// When it is one.
pub fn tool_name(name: &str, most: usize) -> Result<(), Refusal> {
    let good = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    if good && !name.is_empty() && name.len() <= most {
        return Ok(());
    }
    Err(invalid(format!("Invalid tool name '{name}': expected ^[a-zA-Z0-9_-]{{1,{most}}}$.")))
}
