//! What a server understands of a request: model, limit of the output, stream, and what it rejects.

use serde_json::Value;

use super::flavour::Flavour;
use super::members::{Members, Names};
use super::paths::Call;

/// A request as the server understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The model it names, or the more expensive one that the server was led to.
    pub model: Option<String>,
    /// The most output tokens; `None` for no limit.
    pub limit: Option<u64>,
    /// Answers that are made, each paid.
    pub answers: u64,
    /// The answer streams.
    pub stream: bool,
    /// A stream of chat completions ends with its usage.
    pub include_usage: bool,
    /// The answer is made in the background; this call returns at once.
    pub background: bool,
    /// Tokens cost this many times their list price.
    pub price_factor: u64,
    /// A tool of the provider runs, which is paid by the call.
    pub paid_tool: bool,
}

/// The name of the model that a router is led to by members that are not `model`.
pub const PREMIUM: &str = "premium";
/// Members by which routers choose another model, or buy something besides tokens.
const ROUTER_MEMBERS: [&str; 8] = [
    "models",
    "fallbacks",
    "route",
    "provider",
    "plugins",
    "router_settings_override",
    "api_base",
    "web_search_options",
];

/// Reads a request.
///
/// # Errors
/// Why the server answers 400, which costs nothing.
pub fn read(flavour: Flavour, call: &Call, members: &Members) -> Result<Reading, &'static str> {
    let names = flavour.names();
    let get = |name: &str| members.get(name, names);
    let mut reading = Reading {
        model: get("model").and_then(Value::as_str).map(str::to_owned),
        answers: 1,
        price_factor: if has_better_tier(&get) { 2 } else { 1 },
        paid_tool: runs_paid_tool(&get, names),
        stream: stream(flavour, get("stream"))?,
        include_usage: get("stream_options").is_some_and(|options| options["include_usage"] == true),
        background: get("background") == Some(&Value::Bool(true)),
        ..Reading::default()
    };
    match call {
        Call::Chat => {
            reading.limit = chat_limit(flavour, members)?;
            let several = ["n", "best_of", "n_cmpl", "num_return_sequences"];
            let several = several.iter().filter_map(|name| get(name).and_then(number)).fold(1.0, f64::max);
            reading.answers = several.min(128.0) as u64;
        }
        Call::Responses => {
            reading.limit = strict(get("max_output_tokens"), 16)?;
            reading.include_usage = true;
        }
        Call::Messages => {
            reading.limit = Some(strict(get("max_tokens"), 1)?.ok_or("max_tokens: Field required")?);
        }
        Call::Generate(stream, model) => {
            reading.model = Some(model.clone());
            reading.stream = *stream;
            gemini(members, &mut reading)?;
        }
        Call::Converse(stream, model) => {
            reading.model = Some(model.clone());
            reading.stream = *stream;
            let config = Members::of(members.get("inferenceConfig", Names::Exact));
            reading.limit = strict(config.get("maxTokens", Names::Exact), 1)?;
            let more = Members::of(members.get("additionalModelRequestFields", Names::Exact));
            reading.limit = strict(more.get("max_tokens", Names::Exact), 1)?.or(reading.limit);
        }
        _ => reading.limit = chat_limit(flavour, members)?,
    }
    if flavour == Flavour::Router && ROUTER_MEMBERS.iter().any(|name| get(name).is_some()) {
        reading.model = Some(PREMIUM.to_owned());
    }
    Ok(reading)
}

/// A tier of service that costs more: OpenAI and Bedrock (priority), Anthropic (speed), Bedrock (latency).
fn has_better_tier<'a>(get: &impl Fn(&str) -> Option<&'a Value>) -> bool {
    let tier = get("service_tier").is_some_and(|tier| tier == "priority");
    let speed = get("speed").is_some_and(|speed| speed == "fast");
    let latency = get("performanceConfig").is_some_and(|config| config["latency"] == "optimized");
    tier || speed || latency || get("serviceTier").is_some_and(|tier| tier["type"] == "priority")
}

/// A tool that the provider runs by itself. A function of the client has a definition of its own.
fn runs_paid_tool<'a>(get: &impl Fn(&str) -> Option<&'a Value>, names: Names) -> bool {
    const PAID: [&str; 8] = [
        "web_search",
        "web_fetch",
        "code_interpreter",
        "code_execution",
        "file_search",
        "google_search",
        "googleSearch",
        "image_generation",
    ];
    let mut tools = get("tools").and_then(Value::as_array).into_iter().flatten();
    let is_paid = |tool: &Value| {
        let kind = Members::of(Some(tool)).get("type", names).cloned();
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        PAID.iter().any(|paid| kind.starts_with(paid) || tool.get(paid).is_some())
    };
    tools.any(is_paid) || get("web_search_options").is_some()
}

/// The limit of chat completions.
fn chat_limit(flavour: Flavour, members: &Members) -> Result<Option<u64>, &'static str> {
    let get = |name: &str| members.get(name, flavour.names());
    let first_of = |all: &[&str]| all.iter().find_map(|name| get(name));
    match flavour {
        Flavour::Vllm => {
            let value = first_of(&["max_completion_tokens", "max_tokens"]);
            let limit =
                value.map(|value| number(value).ok_or("Input should be a valid integer")).transpose()?;
            if limit.is_some_and(|limit| limit < 1.0) {
                Err("max_tokens must be at least 1")
            } else {
                Ok(whole(limit))
            }
        }
        // `json_value` returns its default where the type is not the wanted one. In the order of their weight.
        Flavour::LlamaCpp => {
            let value = first_of(&["n_predict", "max_completion_tokens", "max_tokens"]);
            Ok(whole(value.and_then(Value::as_f64).filter(|limit| *limit >= 1.0)))
        }
        Flavour::GoServer => {
            let options = Members::of(get("options"));
            let option = options.get("num_predict", Names::AnyCase);
            let value = option.or_else(|| first_of(&["max_completion_tokens", "max_tokens"]));
            let is_int = |value: &Value| value.as_f64().filter(|number| number.fract() == 0.0);
            let limit = value.map(|value| is_int(value).ok_or("cannot unmarshal into int")).transpose()?;
            Ok(whole(limit.filter(|limit| *limit >= 1.0)))
        }
        // JavaScript: `limit || default`.
        Flavour::Express => {
            let value = first_of(&["max_completion_tokens", "max_tokens"]).and_then(number);
            Ok(whole(value.filter(|limit| *limit >= 1.0)))
        }
        _ => strict(first_of(&["max_completion_tokens", "max_tokens"]), 1),
    }
}

/// Protobuf's JSON: either spelling of a name, numbers as strings, 0 and null are absent.
fn gemini(members: &Members, reading: &mut Reading) -> Result<(), &'static str> {
    let either = |members: &Members, camel: &str, snake: &str| {
        members.get(camel, Names::Exact).or_else(|| members.get(snake, Names::Exact)).cloned()
    };
    let config = Members::of(either(members, "generationConfig", "generation_config").as_ref());
    let amount = |camel: &str, snake: &str| either(&config, camel, snake).as_ref().and_then(number);
    let limit = amount("maxOutputTokens", "max_output_tokens");
    if limit.is_some_and(|limit| limit < 0.0) {
        return Err("max_output_tokens must be positive");
    }
    reading.limit = whole(limit.filter(|limit| *limit > 0.0));
    reading.answers = amount("candidateCount", "candidate_count").unwrap_or(1.0).clamp(1.0, 8.0) as u64;
    Ok(())
}

/// A whole number of at least `least`, or nothing.
fn strict(value: Option<&Value>, least: u64) -> Result<Option<u64>, &'static str> {
    let Some(value) = value else { return Ok(None) };
    let whole = value.as_u64().ok_or("expected an integer")?;
    if whole >= least { Ok(Some(whole)) } else { Err("integer below minimum value") }
}

/// A number, or a string that is one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

fn whole(limit: Option<f64>) -> Option<u64> {
    limit.map(|limit| limit as u64)
}

/// Whether a value asks for a stream.
fn stream(flavour: Flavour, value: Option<&Value>) -> Result<bool, &'static str> {
    let Some(value) = value else { return Ok(false) };
    match (flavour, value) {
        (_, Value::Bool(stream)) => Ok(*stream),
        // pydantic in its lax mode.
        (Flavour::Vllm | Flavour::Router, Value::Number(number)) => match number.as_f64() {
            Some(1.0) => Ok(true),
            Some(0.0) => Ok(false),
            _ => Err("Input should be a valid boolean"),
        },
        (Flavour::Vllm | Flavour::Router, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err("Input should be a valid boolean"),
        },
        (Flavour::Express, Value::Number(number)) => Ok(number.as_f64() != Some(0.0)),
        (Flavour::Express, Value::String(text)) => Ok(!text.is_empty()),
        (Flavour::Express, _) => Ok(true),
        (Flavour::LlamaCpp, _) => Ok(false),
        _ => Err("expected a boolean"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(flavour: Flavour, body: &str) -> Result<Reading, &'static str> {
        read(flavour, &Call::Chat, &Members::read(body.as_bytes()).unwrap())
    }

    fn limit(flavour: Flavour, body: &str) -> Result<Option<u64>, &'static str> {
        chat(flavour, body).map(|reading| reading.limit)
    }

    #[test]
    fn zero_is_an_error_or_no_limit() {
        let body = r#"{"max_tokens":0}"#;
        assert!(limit(Flavour::OpenAi, body).is_err());
        assert_eq!(limit(Flavour::GoServer, body), Ok(None));
        assert_eq!(limit(Flavour::LlamaCpp, body), Ok(None));
        assert_eq!(limit(Flavour::Express, body), Ok(None));
    }

    #[test]
    fn go_takes_no_string_for_a_number() {
        assert!(limit(Flavour::GoServer, r#"{"max_tokens":"1"}"#).is_err());
    }

    #[test]
    fn other_members_override_the_known_limit() {
        assert_eq!(limit(Flavour::LlamaCpp, r#"{"max_tokens":1,"n_predict":-1}"#), Ok(None));
        assert_eq!(limit(Flavour::LlamaCpp, r#"{"max_tokens":"1"}"#), Ok(None));
        assert_eq!(
            limit(Flavour::GoServer, r#"{"max_tokens":1,"options":{"num_predict":900}}"#),
            Ok(Some(900))
        );
        assert_eq!(limit(Flavour::GoServer, r#"{"max_tokens":1,"Max_Tokens":800}"#), Ok(Some(800)));
        assert_eq!(limit(Flavour::OpenAi, r#"{"max_tokens":1,"Max_Tokens":800}"#), Ok(Some(1)));
    }

    #[test]
    fn truth_is_the_servers_own() {
        let stream = |flavour, body| chat(flavour, body).map(|reading| reading.stream);
        assert_eq!(stream(Flavour::Vllm, r#"{"stream":"on"}"#), Ok(true));
        assert_eq!(stream(Flavour::Express, r#"{"stream":"false"}"#), Ok(true));
        assert_eq!(stream(Flavour::LlamaCpp, r#"{"stream":"on"}"#), Ok(false));
        assert!(stream(Flavour::OpenAi, r#"{"stream":1}"#).is_err());
    }

    #[test]
    fn go_reads_tiers_and_tools_in_any_case() {
        let body = r#"{"Service_Tier":"priority","TOOLS":[{"Type":"web_search"}]}"#;
        let reading = chat(Flavour::GoServer, body).unwrap();
        assert_eq!((reading.price_factor, reading.paid_tool), (2, true));
        let reading = chat(Flavour::OpenAi, body).unwrap();
        assert_eq!((reading.price_factor, reading.paid_tool), (1, false));
    }

    #[test]
    fn a_router_is_led_to_another_model() {
        let body = r#"{"model":"small","models":["anything"]}"#;
        assert_eq!(chat(Flavour::Router, body).unwrap().model.as_deref(), Some(PREMIUM));
        assert_eq!(chat(Flavour::OpenAi, body).unwrap().model.as_deref(), Some("small"));
    }
}
