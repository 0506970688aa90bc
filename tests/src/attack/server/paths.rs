//! Which call a request line is, by the path rules of each server.

use super::flavour::Flavour;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
    /// Gemini; whether it streams, and the model.
    Generate(bool, String),
    /// Bedrock; whether it streams, and the model.
    Converse(bool, String),
    /// Any other call that makes tokens: completions, embeddings, native APIs, invocations.
    OtherTokens,
    /// A call that is paid by the piece with the operator's key, or that hands out what others paid for.
    Operator,
    /// A list of models, a count of tokens, a health check.
    Free,
    /// Another spelling that the server redirects.
    Redirect,
    /// Nothing.
    Unknown,
}

/// What a request asks this server for.
#[must_use]
pub fn call(flavour: Flavour, method: &str, raw_path: &str) -> Call {
    let decoded = decode(raw_path);
    let path = match flavour {
        // Their routers match what a client sent, and nothing else.
        Flavour::OpenAi | Flavour::Anthropic => raw_path.to_owned(),
        Flavour::Express => {
            let lower = raw_path.to_ascii_lowercase();
            lower.strip_suffix('/').unwrap_or(&lower).to_owned()
        }
        _ => decoded,
    };
    if redirects(flavour) && path.len() > 1 && path.ends_with('/') {
        return Call::Redirect;
    }
    let posted = method == "POST";
    let found = match flavour {
        Flavour::Gemini => gemini(&path),
        Flavour::Bedrock => bedrock(&path),
        Flavour::Anthropic => anthropic(&path),
        _ => openai_like(flavour, &path, method),
    };
    match found {
        Call::Operator | Call::Free | Call::Unknown => found,
        call if posted => call,
        _ => Call::Unknown,
    }
}

fn redirects(flavour: Flavour) -> bool {
    matches!(flavour, Flavour::Vllm | Flavour::Router | Flavour::GoServer)
}

fn openai_like(flavour: Flavour, path: &str, method: &str) -> Call {
    let versioned = path.strip_prefix("/v1").unwrap_or(path);
    let has_version = versioned.len() < path.len();
    let aliases = matches!(flavour, Flavour::Router | Flavour::LlamaCpp);
    if has_version || aliases {
        match versioned {
            "/chat/completions" if method == "POST" => return Call::Chat,
            "/responses" if method == "POST" => return Call::Responses,
            "/messages" if aliases || flavour == Flavour::Vllm => return Call::Messages,
            "/completions" | "/embeddings" | "/rerank" | "/moderations" => return Call::OtherTokens,
            "/models" => return Call::Free,
            _ => {}
        }
    }
    let operator = [
        "/chat/completions",
        "/responses",
        "/files",
        "/batches",
        "/fine_tuning",
        "/realtime",
        "/images",
        "/organization",
        "/audio",
        "/uploads",
        "/vector_stores",
        "/conversations",
        "/containers",
        "/videos",
        "/assistants",
        "/threads",
    ];
    if flavour == Flavour::OpenAi
        && has_version
        && operator.iter().any(|prefix| versioned.starts_with(prefix))
    {
        return Call::Operator;
    }
    let native: &[&str] = match flavour {
        Flavour::Vllm => {
            &["/generate", "/invocations", "/pooling", "/score", "/rerank", "/inference/v1/generate"]
        }
        Flavour::LlamaCpp => {
            &["/completion", "/infill", "/embedding", "/embeddings", "/api/chat", "/api/generate"]
        }
        Flavour::GoServer => &["/api/chat", "/api/generate", "/api/embed", "/api/embeddings"],
        Flavour::Router => &["/anthropic/v1/messages", "/vertex_ai", "/queue/chat/completions"],
        _ => &[],
    };
    let deployment = flavour == Flavour::Router
        && (path.starts_with("/openai/deployments/") || path.starts_with("/engines/"))
        && path.ends_with("/chat/completions");
    if native.contains(&path) || deployment { Call::OtherTokens } else { Call::Unknown }
}

fn anthropic(path: &str) -> Call {
    match path {
        "/v1/messages" => Call::Messages,
        "/v1/complete" => Call::OtherTokens,
        "/v1/messages/count_tokens" | "/v1/models" => Call::Free,
        path if path.starts_with("/v1/messages/batches") || path.starts_with("/v1/files") => Call::Operator,
        path if path.starts_with("/v1/organizations") || path.starts_with("/v1/skills") => Call::Operator,
        _ => Call::Unknown,
    }
}

fn gemini(path: &str) -> Call {
    let rest = ["/v1beta/", "/v1/", "/v1alpha/"].iter().find_map(|version| path.strip_prefix(version));
    let Some(rest) = rest else { return Call::Unknown };
    let model = ["models/", "tunedModels/", "dynamic/"].iter().find_map(|prefix| rest.strip_prefix(prefix));
    match model.and_then(|model| model.split_once(':')) {
        Some((model, "generateContent")) => Call::Generate(false, model.to_owned()),
        Some((model, "streamGenerateContent")) => Call::Generate(true, model.to_owned()),
        Some((_, "countTokens")) => Call::Free,
        Some((_, "embedContent" | "batchEmbedContents" | "generateAnswer" | "generateText")) => {
            Call::OtherTokens
        }
        Some((_, "batchGenerateContent" | "predict" | "predictLongRunning")) => Call::Operator,
        _ if rest == "models" => Call::Free,
        _ if rest.starts_with("cachedContents") || rest.starts_with("files") => Call::Operator,
        _ => Call::Unknown,
    }
}

fn bedrock(path: &str) -> Call {
    let rest = path.strip_prefix("/model/").and_then(|rest| rest.rsplit_once('/'));
    match rest {
        Some((model, "converse")) => Call::Converse(false, model.to_owned()),
        Some((model, "converse-stream")) => Call::Converse(true, model.to_owned()),
        Some((_, "invoke" | "invoke-with-response-stream" | "async-invoke")) => Call::OtherTokens,
        Some((_, "count-tokens")) => Call::Free,
        _ if path.starts_with("/model-invocation-job") || path.starts_with("/async-invoke") => Call::Operator,
        _ => Call::Unknown,
    }
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(flavour: Flavour, path: &str) -> Call {
        call(flavour, "POST", path)
    }

    #[test]
    fn spellings_are_served_where_the_real_servers_serve_them() {
        assert_eq!(post(Flavour::Vllm, "/v1%2Fchat%2Fcompletions"), Call::Chat);
        assert_eq!(post(Flavour::OpenAi, "/v1%2Fchat%2Fcompletions"), Call::Unknown);
        assert_eq!(post(Flavour::Express, "/V1/Chat/completions/"), Call::Chat);
        assert_eq!(post(Flavour::Vllm, "/v1/chat/completions/"), Call::Redirect);
        assert_eq!(
            post(Flavour::Gemini, "/v1/models/x%3AgenerateContent"),
            Call::Generate(false, "x".into())
        );
        assert_eq!(post(Flavour::Router, "/chat/completions"), Call::Chat);
    }

    #[test]
    fn what_only_the_operator_may_do_is_paid() {
        assert_eq!(call(Flavour::OpenAi, "GET", "/v1/chat/completions"), Call::Operator);
        assert_eq!(call(Flavour::OpenAi, "DELETE", "/v1/files/f"), Call::Operator);
        assert_eq!(call(Flavour::OpenAi, "GET", "/v1/models"), Call::Free);
        assert_eq!(call(Flavour::Express, "GET", "/v1/chat/completions"), Call::Unknown);
    }
}
