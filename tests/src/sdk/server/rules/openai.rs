//! Rules that both APIs of OpenAI have.

use serde_json::{Value, json};

use super::common;
use crate::sdk::models::Model;
use crate::sdk::server::refusal::{
    Refusal, Unknown, ensure, invalid, member, not_found, number, only, text, truth, whole,
};
use crate::sdk::server::schema;
use crate::sdk::server::turn::{Choice, Tool};

/// Efforts of reasoning (`shared/reasoning_effort.py`).
pub const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// Tiers of service.
pub const TIERS: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];

const UNKNOWN: Unknown = Unknown(|name| format!("Unknown parameter: '{name}'."));

/// The model must be this one.
///
/// # Errors
/// When it is another.
pub fn model(model: &Model, body: &Value) -> Result<(), Refusal> {
    let name = text(body, "model", "")?;
    if name == model.name {
        return Ok(());
    }
    Err(not_found(
        format!("The model `{name}` does not exist or you do not have access to it."),
        "model_not_found",
    ))
}

/// Reasoning models take the default of these only (guides/reasoning).
///
/// # Errors
/// When another is asked for.
pub fn sampling(body: &Value) -> Result<(), Refusal> {
    for name in ["temperature", "top_p"] {
        let value = number(body, name, 0.0..=2.0)?.unwrap_or(1.0);
        ensure(
            (value - 1.0).abs() < f64::EPSILON,
            format!(
                "Unsupported value: '{name}' does not support {value} with this model. Only the default (1) value is supported."
            ),
        )?;
    }
    truth(body, "logprobs")?;
    whole(body, "top_logprobs", 0..=20)?;
    Ok(())
}

/// At most 16 texts.
///
/// # Errors
/// When it is something else.
pub fn metadata(body: &Value) -> Result<(), Refusal> {
    let Some(metadata) = member(body, "metadata") else { return Ok(()) };
    let pairs = metadata.as_object().filter(|pairs| pairs.len() <= 16);
    let good = pairs.is_some_and(|pairs| pairs.values().all(Value::is_string));
    ensure(good, "Invalid 'metadata': expected at most 16 pairs of strings.")
}

/// A tool's function, at the members that it may have beside its type.
///
/// # Errors
/// When it is malformed, or strict with a schema that is not.
pub fn function(function: &Value, at: &str, further: &[&str]) -> Result<Tool, Refusal> {
    let known = [&["name", "description", "parameters", "strict"], further].concat();
    only(function, at, &known, UNKNOWN)?;
    let name = text(function, "name", at)?;
    common::tool_name(name, 64)?;
    let schema = member(function, "parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    ensure(
        schema["type"] == "object",
        format!("Invalid schema for function '{name}': schema must be of type object."),
    )?;
    if truth(function, "strict")? == Some(true) {
        schema::ensure_strict(&schema, name)?;
    }
    Ok(Tool { name: name.to_owned(), schema })
}

/// A word for the choice of a tool.
///
/// # Errors
/// When it is none.
pub fn choice(word: &str) -> Result<Choice, Refusal> {
    match word {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" => Ok(Choice::Any),
        other => Err(invalid(format!("Invalid value for 'tool_choice': '{other}'."))),
    }
}

/// A named schema for the answer.
///
/// # Errors
/// When it is malformed, or strict and open.
pub fn schema(format: &Value, at: &str) -> Result<Value, Refusal> {
    only(format, at, &["name", "schema", "strict", "description", "type"], UNKNOWN)?;
    let name = text(format, "name", at)?;
    common::tool_name(name, 64)?;
    let schema = member(format, "schema")
        .ok_or_else(|| invalid(format!("Missing required parameter: '{at}.schema'.")))?;
    if truth(format, "strict")? == Some(true) {
        schema::ensure_strict(schema, name)?;
    }
    Ok(schema.clone())
}
