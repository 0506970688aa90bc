//! Gemini: what `POST /v1beta/models/{model}:generateContent` takes.
//!
//! Sources: ai.google.dev/api/generate-content (as google-genai 3.6 writes it), …/gemini-api/docs/{thinking,
//! function-calling, structured-output, image-understanding}. Members are proto JSON: camelCase, or snake_case as well.

use serde_json::{Value, json};

use super::common;
use crate::sdk::models::{Model, Provider};
use crate::sdk::server::cache::Block;
use crate::sdk::server::refusal::{
    Refusal, Unknown, ensure, invalid, list, list_or_none, member, number, only, text, truth, whole, word,
};
use crate::sdk::server::signature;
use crate::sdk::server::tokens::{self, Image};
use crate::sdk::server::turn::{Choice, Tool, Turn, Understood};

const MEMBERS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
];

const CONFIG: [&str; 22] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "responseFormat",
    "audioTimestamp",
];

const UNKNOWN: Unknown =
    Unknown(|name| format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."));

/// Below these, names are the client's own.
const OPAQUE: [&str; 7] = [
    "args",
    "response",
    "responseJsonSchema",
    "responseSchema",
    "parametersJsonSchema",
    "parameters",
    "labels",
];

/// Names in snake_case mean the same.
fn camel(value: Value) -> Value {
    let known = |name: &str| {
        let mut camel = String::new();
        let mut parts = name.split('_');
        camel.push_str(parts.next().unwrap_or_default());
        parts.for_each(|part| {
            let mut letters = part.chars();
            camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            camel.extend(letters);
        });
        camel
    };
    match value {
        Value::Object(members) => {
            let named = members.into_iter().map(|(name, value)| (known(&name), value));
            let deep = |(name, value): (String, Value)| {
                let value = if OPAQUE.contains(&name.as_str()) { value } else { camel(value) };
                (name, value)
            };
            Value::Object(named.map(deep).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(camel).collect()),
        other => other,
    }
}

/// Reads a request.
///
/// # Errors
/// Why the server refuses it.
pub fn read(model: &Model, body: Value, stream: bool) -> Understood {
    let mut body = camel(body);
    if body["generationConfig"].is_null() {
        body["generationConfig"] = json!({});
    }
    only(&body, "", &MEMBERS, UNKNOWN)?;
    let mut turn = Turn { stream, thinks: true, frame: tokens::REQUEST, ..Turn::default() };
    config(model, &mut turn, &body["generationConfig"])?;
    if let Some(instruction) = member(&body, "systemInstruction") {
        only(instruction, "systemInstruction", &["role", "parts"], UNKNOWN)?;
        for part in list(instruction, "parts")? {
            let said = text(part, "text", "systemInstruction.parts")?;
            turn.blocks.push(Block::new(part, tokens::of_text(said)));
        }
    }
    tools(&mut turn, &body)?;
    contents(model, &mut turn, list(&body, "contents")?)?;
    turn.request = body;
    Ok(turn)
}

fn config(model: &Model, turn: &mut Turn, config: &Value) -> Result<(), Refusal> {
    only(config, "generation_config", &CONFIG, UNKNOWN)?;
    turn.limit = whole(config, "maxOutputTokens", 1..=model.most_output)?;
    number(config, "temperature", 0.0..=2.0)?;
    number(config, "topP", 0.0..=1.0)?;
    ensure(
        whole(config, "candidateCount", 1..=8)?.is_none_or(|count| count == 1),
        "these servers make one answer",
    )?;
    let schema = member(config, "responseSchema").or_else(|| member(config, "responseJsonSchema"));
    let mime = word(config, "responseMimeType", &["text/plain", "application/json", "text/x.enum"])?;
    if let Some(schema) = schema {
        ensure(
            mime == Some("application/json"),
            "Function calling or a response schema needs response_mime_type 'application/json'",
        )?;
        turn.schema = Some(schema.clone());
        turn.blocks.push(Block::of_json(schema));
    }
    let Some(thinking) = member(config, "thinkingConfig") else { return Ok(()) };
    only(thinking, "generation_config.thinking_config", &["includeThoughts", "thinkingBudget"], UNKNOWN)?;
    turn.shows_thinking = truth(thinking, "includeThoughts")?.unwrap_or(false);
    match member(thinking, "thinkingBudget").map(|budget| budget.as_i64()) {
        None | Some(Some(-1)) => Ok(()),
        Some(Some(0)) if model.thinking.0 == 0 => {
            turn.thinks = false;
            Ok(())
        }
        Some(budget) => {
            let (least, most) = model.thinking;
            let good = budget.is_some_and(|budget| (least as i64..=most as i64).contains(&budget));
            ensure(
                good,
                format!(
                    "The thinking budget {budget:?} is invalid. Please choose a value between {least} and {most}."
                ),
            )
        }
    }
}

fn tools(turn: &mut Turn, body: &Value) -> Result<(), Refusal> {
    for tool in list_or_none(body, "tools")? {
        only(tool, "tools", &["functionDeclarations"], UNKNOWN)?;
        for function in list(tool, "functionDeclarations")? {
            let known = [
                "name",
                "description",
                "parameters",
                "parametersJsonSchema",
                "response",
                "responseJsonSchema",
                "behavior",
            ];
            only(function, "tools[0].function_declarations", &known, UNKNOWN)?;
            let name = text(function, "name", "function_declarations")?;
            common::tool_name(name, 64)?;
            let schema = member(function, "parameters").or_else(|| member(function, "parametersJsonSchema"));
            let schema = schema.cloned().unwrap_or_else(|| json!({"type": "OBJECT"}));
            turn.tools.push(Tool { name: name.to_owned(), schema });
            turn.blocks.push(Block::of_json(function));
        }
    }
    let calling = &body["toolConfig"]["functionCallingConfig"];
    turn.choice = match word(calling, "mode", &["AUTO", "ANY", "NONE", "VALIDATED"])? {
        Some("ANY") => Choice::Any,
        Some("NONE") => Choice::None,
        _ => Choice::Auto,
    };
    Ok(())
}

fn contents(model: &Model, turn: &mut Turn, contents: &[Value]) -> Result<(), Refusal> {
    ensure(!contents.is_empty(), "GenerateContentRequest.contents: contents is not specified")?;
    let mut calls: Vec<String> = Vec::new();
    for content in contents {
        only(content, "contents", &["role", "parts"], UNKNOWN)?;
        let role = word(content, "role", &["user", "model", "function"])?.unwrap_or("user");
        let parts = list(content, "parts")?;
        ensure(
            !parts.is_empty(),
            "GenerateContentRequest.contents.parts: contents.parts must not be empty.",
        )?;
        let asked = std::mem::take(&mut calls);
        let answers: Vec<&str> =
            parts.iter().filter_map(|part| part["functionResponse"]["name"].as_str()).collect();
        ensure(
            asked == answers,
            "Please ensure that the number of function response parts is equal to the number of function call parts \
             of the function call turn.",
        )?;
        if role != "model" {
            turn.results.clear();
            turn.prompt.clear();
        }
        for part in parts {
            let weight = self::part(model, turn, part, role, &mut calls)?;
            turn.blocks.push(Block::new(part, weight));
        }
    }
    ensure(
        calls.is_empty(),
        "Please ensure that a function call turn is followed by a function response turn.",
    )
}

fn part(
    model: &Model,
    turn: &mut Turn,
    part: &Value,
    role: &str,
    calls: &mut Vec<String>,
) -> Result<u64, Refusal> {
    let known = ["text", "thought", "thoughtSignature", "inlineData", "functionCall", "functionResponse"];
    only(part, "contents.parts", &known, UNKNOWN)?;
    if let Some(signature) = member(part, "thoughtSignature") {
        // The signature stands on the part that follows the thinking.
        let good = signature.as_str().is_some_and(|one| signature::unseal(model.name, one).is_some());
        ensure(good, "Thought signature is not valid.")?;
    }
    if let Some(said) = part["text"].as_str() {
        if role == "user" {
            turn.prompt.push_str(said);
        }
        return Ok(tokens::of_text(said));
    }
    if let Some(data) = member(part, "inlineData") {
        only(data, "inline_data", &["mimeType", "data", "displayName"], UNKNOWN)?;
        // Proto JSON takes both alphabets.
        let base64 = text(data, "data", "inline_data")?.replace('-', "+").replace('_', "/");
        let image = Image::read(&base64, text(data, "mimeType", "inline_data")?)?;
        turn.images.push(image);
        return Ok(image.tokens(Provider::Google));
    }
    if let Some(call) = member(part, "functionCall") {
        only(call, "function_call", &["name", "args", "id"], UNKNOWN)?;
        calls.push(text(call, "name", "function_call")?.to_owned());
        return Ok(tokens::of_text(&call["args"].to_string()));
    }
    if let Some(answer) = member(part, "functionResponse") {
        only(answer, "function_response", &["name", "response", "id"], UNKNOWN)?;
        ensure(answer["response"].is_object(), "function_response.response: expected an object")?;
        let said = answer["response"].to_string();
        turn.results.push(said.clone());
        return Ok(tokens::of_text(&said));
    }
    Err(invalid("contents.parts: required oneof field 'data' must have one initialized field"))
}
