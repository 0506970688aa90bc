//! Which calls go out, and what of a request goes with them.

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// Calls that cost nothing, and calls that the filter does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsConfig {
    /// Calls that go to the default cluster without being counted: a method, a space and a path, in which `{model}` stands
    /// for one segment.
    pub free: Vec<String>,
    /// What happens to calls that are neither in `paths` nor in `free`.
    pub others: OtherCalls,
}

/// What happens to calls that are neither counted nor free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherCalls {
    /// 404: behind the operator's key, any path may cost money or show what others have stored.
    #[default]
    Refuse,
    /// They pass to the default cluster, unchanged and not counted.
    Pass,
}

/// What of a request reaches an upstream, besides its body. Everything else is removed, above all the client's own
/// credentials, cookies and session ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {
    /// Headers in addition to those that every call needs ([`crate::request::forward::KEPT`]); a name that ends in `*` stands
    /// for all that begin like it.
    pub headers: Vec<String>,
    /// Parameters of the query.
    pub query: Vec<String>,
    /// Values of `anthropic-beta`: features that cost no more than tokens.
    pub betas: Vec<String>,
}

/// Paths of LLM calls, as the clients of the usual APIs write them behind the address that they are given.
pub(super) const COUNTED: [&str; 27] = [
    // OpenAI and the servers that imitate it, with the prefixes of Groq, Azure, OpenRouter and Gemini, and with none.
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/responses/compact",
    "/chat/completions",
    "/responses",
    "/responses/compact",
    "/openai/v1/chat/completions",
    "/openai/v1/responses",
    "/openai/v1/responses/compact",
    "/openai/responses",
    "/openai/deployments/{model}/chat/completions",
    "/api/v1/chat/completions",
    "/api/v1/responses",
    "/v1beta/openai/chat/completions",
    // Anthropic and the servers that imitate it.
    "/v1/messages",
    "/api/v1/messages",
    "/anthropic/v1/messages",
    // Gemini, and Vertex AI without a project.
    "/v1/models/{model}:generateContent",
    "/v1/models/{model}:streamGenerateContent",
    "/v1beta/models/{model}:generateContent",
    "/v1beta/models/{model}:streamGenerateContent",
    "/v1alpha/models/{model}:generateContent",
    "/v1alpha/models/{model}:streamGenerateContent",
    "/v1/publishers/google/models/{model}:generateContent",
    "/v1/publishers/google/models/{model}:streamGenerateContent",
    // Bedrock.
    "/model/{model}/converse",
    "/model/{model}/converse-stream",
];
const FREE: [&str; 17] = [
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /models",
    "GET /models/{model}",
    "GET /openai/v1/models",
    "GET /openai/v1/models/{model}",
    "POST /v1/responses/input_tokens",
    "POST /v1/messages/count_tokens",
    "POST /anthropic/v1/messages/count_tokens",
    "GET /v1beta/models",
    "GET /v1beta/models/{model}",
    "GET /v1alpha/models",
    "POST /v1/models/{model}:countTokens",
    "POST /v1beta/models/{model}:countTokens",
    "POST /v1alpha/models/{model}:countTokens",
    "POST /v1/publishers/google/models/{model}:countTokens",
    "POST /model/{model}/count-tokens",
];

impl Default for CallsConfig {
    fn default() -> Self {
        let free = FREE.iter().map(|call| (*call).to_owned()).collect();
        CallsConfig { free, others: OtherCalls::default() }
    }
}

impl Default for ForwardConfig {
    fn default() -> Self {
        let betas = [
            "claude-code-*",
            "context-management-*",
            "effort-*",
            "fine-grained-tool-streaming-*",
            "interleaved-thinking-*",
            "output-128k-*",
            "prompt-caching-*",
            "structured-outputs-*",
            "thinking-token-count-*",
            "token-counting-*",
            "token-efficient-tools-*",
        ];
        ForwardConfig {
            headers: Vec::new(),
            query: ["alt", "api-version", "beta"].map(str::to_owned).to_vec(),
            betas: betas.map(str::to_owned).to_vec(),
        }
    }
}

impl CallsConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        for (k, call) in self.free.iter().enumerate() {
            let ok = call.split_once(' ').is_some_and(|(method, path)| {
                !method.is_empty()
                    && method.bytes().all(|byte| byte.is_ascii_uppercase())
                    && path.starts_with('/')
            });
            let field = format_args!("calls.free[{k}]");
            faults.require(ok, field, call, "a method in upper case, a space and a path");
        }
    }
}

impl ForwardConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let lists = [("headers", &self.headers), ("query", &self.query), ("betas", &self.betas)];
        for (list, names) in lists {
            for (k, name) in names.iter().enumerate() {
                let ok = !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
                let field = format_args!("forward.{list}[{k}]");
                faults.require(
                    ok,
                    field,
                    name,
                    "a name in lower case, with `*` at its end for all that begin like it",
                );
            }
        }
    }
}
