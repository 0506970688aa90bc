//! The servers that are played: each as strict or as lenient as the real one is.

use super::members::Names;

/// A kind of model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flavour {
    /// api.openai.com: strict types, exact paths.
    OpenAi,
    /// api.anthropic.com: strict.
    Anthropic,
    /// Gemini: protobuf's JSON, so both spellings of a name, numbers as strings, and 0 is absent.
    Gemini,
    /// Bedrock's Converse: strict, but `additionalModelRequestFields` pass to the model.
    Bedrock,
    /// vLLM: FastAPI (Starlette decodes paths), pydantic in its lax mode, unknown members ignored.
    Vllm,
    /// llama.cpp: `n_predict` overrides `max_tokens`, what has the wrong type counts as absent, below 1 is no limit.
    LlamaCpp,
    /// A server in Go such as Ollama: names in any case, 0 counts as absent.
    GoServer,
    /// A router such as LiteLLM or OpenRouter: members choose another model; many aliases of a path.
    Router,
    /// A server on Express: paths in any case and with a slash at the end; any value that JavaScript calls true.
    Express,
}

/// Every flavour.
pub const ALL: [Flavour; 9] = [
    Flavour::OpenAi,
    Flavour::Anthropic,
    Flavour::Gemini,
    Flavour::Bedrock,
    Flavour::Vllm,
    Flavour::LlamaCpp,
    Flavour::GoServer,
    Flavour::Router,
    Flavour::Express,
];

/// Those that speak the chat completions API.
pub const CHAT: [Flavour; 6] =
    [Flavour::OpenAi, Flavour::Vllm, Flavour::LlamaCpp, Flavour::GoServer, Flavour::Router, Flavour::Express];

/// The flavour of this name.
#[must_use]
pub fn named(name: &str) -> Option<Flavour> {
    ALL.into_iter().find(|flavour| flavour.name() == name)
}

impl Flavour {
    /// Its name in markers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Flavour::OpenAi => "openai",
            Flavour::Anthropic => "anthropic",
            Flavour::Gemini => "gemini",
            Flavour::Bedrock => "bedrock",
            Flavour::Vllm => "vllm",
            Flavour::LlamaCpp => "llamacpp",
            Flavour::GoServer => "goserver",
            Flavour::Router => "router",
            Flavour::Express => "express",
        }
    }

    /// How it finds members.
    #[must_use]
    pub fn names(self) -> Names {
        if self == Flavour::GoServer { Names::AnyCase } else { Names::Exact }
    }

    /// It serves models with open weights, whose tokenizers make more tokens of text that is not English.
    #[must_use]
    pub fn open_weights(self) -> bool {
        matches!(self, Flavour::Vllm | Flavour::LlamaCpp | Flavour::GoServer)
    }

    /// It is a provider, so a key of another provider, a cookie or a raw session id must not reach it.
    #[must_use]
    pub fn is_provider(self) -> bool {
        matches!(self, Flavour::OpenAi | Flavour::Anthropic | Flavour::Gemini | Flavour::Bedrock)
    }
}
