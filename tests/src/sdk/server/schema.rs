//! JSON schemas: values that match one, and the rules of strict ones.

use serde_json::{Map, Value, json};

use super::refusal::{Refusal, ensure, invalid};

/// Deepest schema that is followed.
const MAX_DEPTH: usize = 16;

/// A value that matches a schema: what a model answers that is bound to it. Types may be in upper case, as Google writes them.
#[must_use]
pub fn example(schema: &Value) -> Value {
    value(schema, schema, 0)
}

fn value(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let below = |schema: &Value| value(root, schema, depth + 1);
    if let Some(target) = schema["$ref"].as_str().and_then(|at| root.pointer(at.trim_start_matches('#'))) {
        return below(target);
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[several].as_array().and_then(|all| all.first()) {
            return below(first);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind.to_ascii_lowercase().as_str() {
        "object" => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(members.map(|(name, schema)| (name.clone(), below(schema))).collect::<Map<_, _>>())
        }
        "array" => json!([below(&schema["items"])]),
        "integer" => json!(7),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!("some text"),
    }
}

/// Refuses a schema that is not strict: every object lists all of its members as required and allows no others
/// (developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas").
///
/// # Errors
/// When it is not.
pub fn ensure_strict(schema: &Value, name: &str) -> Result<(), Refusal> {
    closed(schema, name, true)
}

/// Refuses a schema with open objects (platform.claude.com/docs/en/build-with-claude/structured-outputs).
///
/// # Errors
/// When it has one.
pub fn ensure_closed(schema: &Value, name: &str) -> Result<(), Refusal> {
    closed(schema, name, false)
}

fn closed(schema: &Value, name: &str, all_required: bool) -> Result<(), Refusal> {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(Value::as_object) {
                let bad = |what: &str| format!("Invalid schema for '{name}': {what}");
                let no_others = members.get("additionalProperties") == Some(&Value::Bool(false));
                ensure(no_others, bad("'additionalProperties' is required to be supplied and to be false."))?;
                let required = members.get("required").and_then(Value::as_array);
                let lists = |member: &String| required.is_some_and(|all| all.iter().any(|one| one == member));
                let missing = properties.keys().find(|member| !lists(member));
                if let Some(member) = missing.filter(|_| all_required) {
                    return Err(invalid(bad(&format!(
                        "'required' is required to be an array including every key in properties. Missing '{member}'."
                    ))));
                }
            }
            members.values().try_for_each(|below| closed(below, name, all_required))
        }
        Value::Array(values) => values.iter().try_for_each(|below| closed(below, name, all_required)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_every_member_and_follows_references() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "ARRAY", "items": {"type": "INTEGER"}}},
            "$defs": {"A": {"enum": ["x", "y"]}},
        });
        assert_eq!(example(&schema), json!({"a": "x", "b": [7]}));
    }

    #[test]
    fn a_schema_with_an_optional_member_is_not_strict() {
        let mut schema = json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false,
        });
        assert!(ensure_strict(&schema, "s").is_err());
        assert!(ensure_closed(&schema, "s").is_ok());
        schema["required"] = json!(["a"]);
        assert!(ensure_strict(&schema, "s").is_ok());
    }
}
