//! The plugin configuration: what an operator writes, checked before anything serves by it.
//!
//! Unknown fields are refused, every value is range-checked, and each error names its field, what was found and
//! what was expected. There is no half-valid configuration: [`Config::from_json`] returns all or nothing, and on
//! an error the old configuration keeps serving. `filter/README.md` lists every field with its default.

mod budget;
mod check;
mod ledger;
mod models;
mod session;

pub use budget::{BudgetConfig, GuardConfig, LambdaConfig, LambdaRule};
pub use ledger::{LedgerConfig, OnFull, TenantConfig};
pub use models::{Accepts, EstimateConfig, MissingUsage, ModelConfig, Strategy, SwitchConfig};
pub use session::{BodySource, HintConfig, NoSession, SessionConfig, SessionSource};

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use crate::one_line::OneLine;

/// Largest accepted configuration, policies included.
pub const MAX_CONFIG_BYTES: usize = 8 * 1024 * 1024;
/// The request header that Envoy's `cluster_header` route reads. Internal: a client's value is overwritten.
pub const CLUSTER_HEADER: &str = "x-seqroute-cluster";

/// The whole plugin configuration (JSON).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format: 1.
    pub version: u32,
    /// Secret text that session ids are hashed with, at least 8 bytes. Changing it forgets all sessions.
    pub salt: String,
    /// How much of a request is read before the decision.
    #[serde(default)]
    pub mode: Mode,
    /// Whether decisions are carried out.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Bytes of a body that `peek` holds back at most.
    #[serde(default = "default_peek_bytes")]
    pub peek_bytes: u64,
    /// Request paths that are LLM calls; all others pass untouched. `{model}` stands for the model's name, see
    /// [`crate::request::api::path_matches`].
    #[serde(default = "default_paths")]
    pub paths: Vec<String>,
    /// Whether upstreams may compress their answers.
    #[serde(default)]
    pub accept_encoding: AcceptEncoding,
    /// Where a session's identity comes from.
    #[serde(default)]
    pub session: SessionConfig,
    /// What a session may spend.
    pub budget: BudgetConfig,
    /// What the tenants of `session.tenant_header` may spend over all of their sessions. Absent: no such budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<TenantConfig>,
    /// The price of money in the decision rule.
    #[serde(default)]
    pub lambda: LambdaConfig,
    /// Header with the difficulty of a request, 0 to 1; recorded.
    #[serde(default = "default_difficulty")]
    pub difficulty: HintConfig,
    /// Header that asks for all decision headers in the answer.
    #[serde(default = "default_debug")]
    pub debug: HintConfig,
    /// Who chooses the model.
    #[serde(default)]
    pub strategy: Strategy,
    /// The models, in the order of the policy's outputs.
    pub models: Vec<ModelConfig>,
    /// The policy archive (NNEF `.tar`), base64. Required by the strategy `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_b64: Option<String>,
    /// A second policy, tried on a share of the sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_canary_b64: Option<String>,
    /// Share of the sessions, by their hash, that the second policy decides.
    #[serde(default)]
    pub canary_share: f64,
    /// When a session changes its model.
    #[serde(default)]
    pub switching: SwitchConfig,
    /// The session table.
    #[serde(default)]
    pub ledger: LedgerConfig,
    /// Token estimates from byte counts.
    #[serde(default)]
    pub estimate: EstimateConfig,
    /// Money kept for the turns to come. Absent: none.
    #[serde(default)]
    pub guard: GuardConfig,
    /// What happens to requests that cannot be understood.
    #[serde(default)]
    pub on_error: ErrorConfig,
}

/// What becomes of the `accept-encoding` of a request that is routed.
///
/// A compressed answer cannot be read, so its usage must be estimated, unless Envoy's decompressor stands behind this
/// filter; that one writes an `accept-encoding` of its own, so removing the client's costs nothing there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptEncoding {
    /// It is removed: upstreams answer without compression.
    #[default]
    Remove,
    /// It is left as the client sent it.
    Keep,
}

/// How much of a request is read before the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Headers only; the body is neither read nor changed, so upstreams must ignore its `model`.
    Headers,
    /// Headers, then the first bytes of the body (needs `allow_on_headers_stop_iteration`). The default.
    #[default]
    Peek,
    /// The whole body is held back before the decision (bounded by Envoy's buffer limits).
    Body,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// They are. The default.
    #[default]
    Enforce,
    /// They are only recorded: requests and answers pass as they are, nothing is charged or refused. What a session
    /// would have spent is kept in a table of its own.
    Shadow,
}

/// What happens to requests that cannot be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorConfig {
    /// A body that is no JSON object.
    pub invalid_body: OnError,
    /// A model name that is neither one of ours nor in `auto_models`.
    pub unknown_model: OnError,
    /// A trusted budget, λ or difficulty header that is no number in range.
    pub invalid_header: OnError,
    /// Model names that stand for "choose for me". Absent: `auto`.
    pub auto_models: Vec<String>,
}

/// Refuse a request, or serve it by the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// 400 with a clear message; nothing is charged.
    #[default]
    Reject,
    /// Serve as if the value had not been sent.
    UseDefault,
}

fn default_peek_bytes() -> u64 {
    64 * 1024
}
fn default_paths() -> Vec<String> {
    let paths = [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent",
        "/model/{model}/converse",
        "/model/{model}/converse-stream",
    ];
    paths.map(str::to_owned).to_vec()
}
fn default_difficulty() -> HintConfig {
    HintConfig::untrusted("x-seqroute-difficulty")
}
fn default_debug() -> HintConfig {
    HintConfig::untrusted("x-seqroute-debug")
}

/// A configuration that cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no configuration object.
    #[error("plugin configuration: {}", OneLine(.0))]
    Syntax(String),
    /// A field's value is out of range.
    #[error("plugin configuration, field `{}`: found {}, expected {expected}", OneLine(.field), OneLine(.found))]
    Field {
        /// Where.
        field: String,
        /// What was found there.
        found: String,
        /// What is accepted there.
        expected: &'static str,
    },
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`], one line, for anything that could not serve.
    pub fn from_json(json: &[u8]) -> Result<Config, ConfigError> {
        if json.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::Syntax(format!(
                "found {} bytes, expected at most {MAX_CONFIG_BYTES}",
                json.len()
            )));
        }
        let mut config: Config =
            serde_json::from_slice(json).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        if config.on_error.auto_models.is_empty() {
            config.on_error.auto_models.push("auto".to_owned());
        }
        check::check(&config)?;
        Ok(config)
    }

    /// Budget of a session that names none.
    #[must_use]
    pub fn default_budget(&self) -> NanoUsd {
        NanoUsd::parse_usd(&self.budget.default_usd).unwrap_or_default()
    }

    /// Largest budget that a header may ask for.
    #[must_use]
    pub fn max_budget(&self) -> NanoUsd {
        let text = self.budget.max_usd.as_deref().unwrap_or(&self.budget.default_usd);
        NanoUsd::parse_usd(text).unwrap_or_default()
    }

    /// Whether answers can be cut at what their reservation pays.
    #[must_use]
    pub fn can_cut_answers(&self) -> bool {
        self.budget.cap_output != Some(false) && self.mode != Mode::Headers
    }

    /// What the tables can take in shared data at most, in bytes.
    #[must_use]
    pub fn max_table_bytes(&self) -> u64 {
        let sessions = self.ledger.max_bytes();
        sessions.saturating_add(self.tenants.as_ref().map_or(0, TenantConfig::max_bytes))
    }

    /// What serves, but not as its author may think, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        check::warnings(self)
    }
}

#[cfg(test)]
pub(crate) mod tests;
