//! Where a session's identity comes from, and which hints of a request are trusted.

use serde::{Deserialize, Serialize};

use super::faults::{Faults, is_token};

/// Headers by which clients name their session. What an operator sets comes first; a parent's id before a child's, so that
/// a sub-agent spends its parent's money; names of one client before those that several share.
const HEADERS: [&str; 11] = [
    "x-parent-session-id",
    "x-session-id",
    "x-conversation-id",
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-session-affinity",
    "x-opencode-session",
    "x-amp-thread-id",
    "x-litellm-session-id",
    "agent-session-id",
];

/// Sources of session identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Where the session id may be found; the first source that has one wins.
    pub sources: Vec<SessionSource>,
    /// Headers that name the agent, so that its conversation is told from others of its session; the first that is there.
    pub agent_headers: Vec<String>,
    /// Header whose value keeps the sessions of tenants apart, and names the tenant whose budget is charged.
    pub tenant_header: Option<String>,
    /// What happens to a request without a session.
    pub no_session: NoSession,
}

/// A place where a session id may be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionSource {
    /// A request header.
    Header(String),
    /// A cookie, by its name.
    Cookie(String),
    /// A field of the body; known only in the modes `peek` and `body`.
    Body(BodySource),
}

/// A field of the body that may carry a session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodySource {
    /// `metadata.session_id`.
    #[serde(rename = "metadata.session_id")]
    MetadataSessionId,
    /// `conversation`, a string or an object with `id` (OpenAI responses).
    #[serde(rename = "conversation")]
    Conversation,
    /// `prompt_cache_key` (OpenAI).
    #[serde(rename = "prompt_cache_key")]
    PromptCacheKey,
    /// The session in `metadata.user_id` (Claude Code), a JSON text with `session_id`.
    #[serde(rename = "metadata.user_id.session_id")]
    MetadataUserIdSession,
    /// `metadata.user_id` (Anthropic): an end user, and a session only where each user has one.
    #[serde(rename = "metadata.user_id")]
    MetadataUserId,
    /// `user` (OpenAI): an end user as well.
    #[serde(rename = "user")]
    User,
    /// A hash of how the body begins, up to the end of the first message that is not the system's.
    #[serde(rename = "opening")]
    Opening,
}

/// What happens to a request without a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoSession {
    /// A session of one turn with the default budget.
    #[default]
    DefaultBudget,
    /// It passes to the default cluster and is not accounted for.
    Bypass,
    /// It is refused with 400.
    Reject,
}

/// A header that counts only where clients cannot set it themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HintConfig {
    /// Name of the header, in lower case.
    pub header: String,
    /// Whether it is trusted.
    #[serde(default)]
    pub trust_header: bool,
}

impl HintConfig {
    /// A hint that is not trusted.
    #[must_use]
    pub fn untrusted(header: &str) -> HintConfig {
        HintConfig { header: header.to_owned(), trust_header: false }
    }
}

impl SessionConfig {
    pub(super) fn check(&self, sees_bodies: bool, faults: &mut Faults) {
        // The default has fields of the body, which the mode `headers` does without.
        let sees_bodies = sees_bodies || self.sources == SessionConfig::default().sources;
        let count = self.sources.len();
        let found = format_args!("{count} sources");
        faults.require((1..=16).contains(&count), "session.sources", found, "1 to 16 sources");
        for (k, source) in self.sources.iter().enumerate() {
            let field = format_args!("session.sources[{k}]");
            match source {
                SessionSource::Header(name) => faults.require_header(name, field),
                SessionSource::Cookie(name) => {
                    faults.require(is_token(name), field, name, "the name of a cookie");
                }
                SessionSource::Body(name) => faults.require(
                    sees_bodies,
                    field,
                    name.name(),
                    "a header or a cookie: the mode `headers` never sees a body",
                ),
            }
        }
        for (k, name) in self.agent_headers.iter().enumerate() {
            faults.require_header(name, format_args!("session.agent_headers[{k}]"));
        }
        if let Some(name) = &self.tenant_header {
            faults.require_header(name, "session.tenant_header");
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        let headers = HEADERS.iter().map(|name| SessionSource::Header((*name).to_owned()));
        let fields = [BodySource::MetadataSessionId, BodySource::MetadataUserIdSession];
        SessionConfig {
            sources: headers.chain(fields.map(SessionSource::Body)).collect(),
            agent_headers: ["x-claude-code-agent-id", "thread-id"].map(str::to_owned).to_vec(),
            tenant_header: None,
            no_session: NoSession::default(),
        }
    }
}

impl std::fmt::Display for SessionSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SessionSource::Header(name) => write!(f, "header {name}"),
            SessionSource::Cookie(name) => write!(f, "cookie {name}"),
            SessionSource::Body(field) => write!(f, "body field {}", field.name()),
        }
    }
}

impl BodySource {
    /// The field's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BodySource::MetadataSessionId => "metadata.session_id",
            BodySource::Conversation => "conversation",
            BodySource::PromptCacheKey => "prompt_cache_key",
            BodySource::MetadataUserIdSession => "metadata.user_id.session_id",
            BodySource::MetadataUserId => "metadata.user_id",
            BodySource::User => "user",
            BodySource::Opening => "opening",
        }
    }
}
