//! What a strict server refuses, and the words that it refuses it with.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

/// A request that is answered with an error, which costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error's message.
    pub message: String,
    /// OpenAI's code, where it has one.
    pub code: Option<&'static str>,
}

/// A bad request.
#[must_use]
pub fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { status: 400, message: message.into(), code: None }
}

/// Something that does not exist.
#[must_use]
pub fn not_found(message: impl Into<String>, code: &'static str) -> Refusal {
    Refusal { status: 404, message: message.into(), code: Some(code) }
}

/// Refuses with `message` unless `good`.
///
/// # Errors
/// When it is not.
pub fn ensure(good: bool, message: impl Display) -> Result<(), Refusal> {
    if good { Ok(()) } else { Err(invalid(message.to_string())) }
}

/// The words for an unknown member.
#[derive(Clone, Copy, Debug)]
pub struct Unknown(pub fn(&str) -> String);

/// Refuses an object with members that are not listed, and what is not an object.
///
/// # Errors
/// When it has one.
pub fn only(object: &Value, at: &str, known: &[&str], words: Unknown) -> Result<(), Refusal> {
    let members = object.as_object();
    let members = members.ok_or_else(|| invalid(format!("Invalid type for '{at}': expected an object.")))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if at.is_empty() => Err(invalid(words.0(name))),
        Some(name) => Err(invalid(words.0(&format!("{at}.{name}")))),
    }
}

/// A member that is there and not null.
#[must_use]
pub fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A whole number in a range.
///
/// # Errors
/// When it is something else.
pub fn whole(object: &Value, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
    let Some(value) = member(object, name) else { return Ok(None) };
    match value.as_u64() {
        Some(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(invalid(format!(
            "Invalid '{name}': found {value}, expected an integer from {} to {}.",
            range.start(),
            range.end()
        ))),
    }
}

/// A number in a range.
///
/// # Errors
/// When it is something else.
pub fn number(object: &Value, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Refusal> {
    let Some(value) = member(object, name) else { return Ok(None) };
    let found = value.as_f64().filter(|number| range.contains(number));
    found.map(Some).ok_or_else(|| invalid(format!("Invalid '{name}': found {value}.")))
}

/// True or false.
///
/// # Errors
/// When it is something else.
pub fn truth(object: &Value, name: &str) -> Result<Option<bool>, Refusal> {
    let Some(value) = member(object, name) else { return Ok(None) };
    value
        .as_bool()
        .map(Some)
        .ok_or_else(|| invalid(format!("Invalid type for '{name}': expected a boolean.")))
}

/// One of several words.
///
/// # Errors
/// When it is something else.
pub fn word<'a>(object: &'a Value, name: &str, known: &[&str]) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = member(object, name) else { return Ok(None) };
    let found = value.as_str().filter(|word| known.contains(word));
    found
        .map(Some)
        .ok_or_else(|| invalid(format!("Invalid value for '{name}': {value}. Supported: {known:?}.")))
}

/// A text that must be there.
///
/// # Errors
/// When it is not.
pub fn text<'a>(object: &'a Value, name: &str, at: &str) -> Result<&'a str, Refusal> {
    let found = object.get(name).and_then(Value::as_str);
    found.ok_or_else(|| invalid(format!("Missing required parameter: '{at}.{name}'.")))
}

/// A list that must be there.
///
/// # Errors
/// When it is not.
pub fn list<'a>(object: &'a Value, name: &str) -> Result<&'a [Value], Refusal> {
    let found = object.get(name).and_then(Value::as_array);
    found.map(Vec::as_slice).ok_or_else(|| invalid(format!("Missing required parameter: '{name}'.")))
}

/// A list that may be there.
///
/// # Errors
/// When something else is there.
pub fn list_or_none<'a>(object: &'a Value, name: &str) -> Result<&'a [Value], Refusal> {
    if member(object, name).is_none() { Ok(&[]) } else { list(object, name) }
}
