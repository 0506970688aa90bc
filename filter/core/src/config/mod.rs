//! The plugin configuration: what an operator writes, checked before it is used.
//!
//! Unknown fields are refused, every value is range-checked, and an error names every fault: field, found, expected.
//! [`Config::from_json`] returns a valid configuration or an error, and on an error the old configuration keeps serving.
//! Each file has a part of the configuration with its defaults and its `check`; `filter/README.md` lists every field.

mod budget;
mod calls;
mod diagnose;
mod faults;
mod ledger;
mod members;
mod models;
mod record;
mod salt;
mod session;
mod tenants;
mod usd;

pub use budget::{BudgetConfig, GuardConfig, LambdaConfig, LambdaRule};
pub use calls::{CallsConfig, ForwardConfig, OtherCalls};
pub use faults::{ConfigError, Fault};
pub use ledger::{CallerConfig, LedgerConfig, OnFull};
pub use members::{MembersConfig, StoredState};
pub use models::{
    Accepts, ApiName, Effort, EstimateConfig, InputBound, LimitMember, MissingUsage, ModelConfig, Strategy,
    Structure, SwitchConfig, Thinking, UnlimitedAnswer,
};
pub use record::RecordConfig;
pub use salt::{Environment, Salt};
pub use session::{BodySource, HintConfig, NoSession, SessionConfig, SessionSource};
pub use tenants::{Purse, TenantConfig};

use serde::{Deserialize, Serialize};

use crate::money::NanoUsd;
use faults::Faults;

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
    /// Secret that session ids are hashed with, at least 8 bytes. Changing it forgets all sessions.
    pub salt: Salt,
    /// How much of a request is read before the decision.
    #[serde(default)]
    pub mode: Mode,
    /// Whether decisions are carried out.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Most bytes of a body that `peek` holds back.
    #[serde(default = "default_peek_bytes")]
    pub peek_bytes: u64,
    /// Request paths that are LLM calls. `{model}` stands for the model's name, see [`crate::request::path`].
    #[serde(default = "default_paths")]
    pub paths: Vec<String>,
    /// Which other calls go out.
    #[serde(default)]
    pub calls: CallsConfig,
    /// What of a request's headers and query goes with them.
    #[serde(default)]
    pub forward: ForwardConfig,
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
    /// How many new sessions a caller may begin that no tenant's budget bounds.
    #[serde(default)]
    pub callers: CallerConfig,
    /// The price of money in the decision rule.
    #[serde(default)]
    pub lambda: LambdaConfig,
    /// Header with the difficulty of a request, 0 to 1; recorded.
    #[serde(default = "default_difficulty")]
    pub difficulty: HintConfig,
    /// Header that asks for all decision headers in the answer.
    #[serde(default = "default_debug")]
    pub debug: HintConfig,
    /// How the model is chosen.
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
    /// What sessions and tenants had spent before Envoy was started ([`crate::ledger::books`]), base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub books_b64: Option<String>,
    /// When a session changes its model.
    #[serde(default)]
    pub switching: SwitchConfig,
    /// The session table.
    #[serde(default)]
    pub ledger: LedgerConfig,
    /// Token estimates from byte counts.
    #[serde(default)]
    pub estimate: EstimateConfig,
    /// What a body may ask for besides the model and its prompt.
    #[serde(default)]
    pub members: MembersConfig,
    /// Money kept for the turns to come. Absent: none.
    #[serde(default)]
    pub guard: GuardConfig,
    /// What decision records say.
    #[serde(default)]
    pub record: RecordConfig,
    /// What happens to invalid requests.
    #[serde(default)]
    pub on_error: ErrorConfig,
}

/// What happens to the `accept-encoding` of a routed request.
///
/// A compressed answer cannot be read, so its usage must be estimated, unless Envoy's decompressor comes after this
/// filter: it writes an `accept-encoding` of its own, so removing the client's costs nothing.
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
    /// Decisions are carried out. The default.
    #[default]
    Enforce,
    /// Decisions are only recorded: requests and answers pass unchanged, nothing is charged or refused. What a session
    /// would have spent is kept in a separate table.
    Shadow,
}

/// What happens to invalid requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorConfig {
    /// A body that is not a JSON object.
    pub invalid_body: OnError,
    /// A model name that is neither configured nor in `auto_models`.
    pub unknown_model: OnError,
    /// A trusted budget, λ or difficulty header that is not a number in range.
    pub invalid_header: OnError,
    /// Model names that leave the choice to the filter. Absent: `auto`.
    pub auto_models: Vec<String>,
}

/// Refuse a request, or use the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// 400 with a clear message; nothing is charged.
    #[default]
    Reject,
    /// Serve the request as if the value were absent.
    UseDefault,
}

fn default_peek_bytes() -> u64 {
    256 * 1024
}
fn default_paths() -> Vec<String> {
    calls::COUNTED.iter().map(|path| (*path).to_owned()).collect()
}
fn default_difficulty() -> HintConfig {
    HintConfig::untrusted("x-seqroute-difficulty")
}
fn default_debug() -> HintConfig {
    HintConfig::untrusted("x-seqroute-debug")
}

impl Config {
    /// Reads and checks a configuration that names no environment variable.
    ///
    /// # Errors
    /// [`ConfigError`], one line that names every fault.
    pub fn from_json(json: &[u8]) -> Result<Config, ConfigError> {
        Config::from_json_in(json, &|_| None)
    }

    /// Reads and checks a configuration, and the environment variables that it names.
    ///
    /// # Errors
    /// [`ConfigError`], one line that names every fault.
    pub fn from_json_in(json: &[u8], environment: Environment<'_>) -> Result<Config, ConfigError> {
        if json.len() > MAX_CONFIG_BYTES {
            let (found, most) = (json.len(), MAX_CONFIG_BYTES);
            return Err(ConfigError::Syntax(format!("found {found} bytes, expected at most {most}")));
        }
        let mut faults = Faults::default();
        let mut config = match serde_json::from_slice::<Config>(json) {
            Ok(config) => Some(config),
            Err(error) => {
                let config = diagnose::diagnose(json, &mut faults);
                if faults.is_empty() {
                    return Err(ConfigError::Syntax(error.to_string()));
                }
                config
            }
        };
        if let Some(config) = &mut config {
            config.salt.resolve(environment, &mut faults);
            config.check(&mut faults);
        }
        faults.into_result()?;
        let mut config = config.ok_or_else(|| ConfigError::Syntax("not a configuration".to_owned()))?;
        if config.on_error.auto_models.is_empty() {
            config.on_error.auto_models.push("auto".to_owned());
        }
        Ok(config)
    }

    fn check(&self, faults: &mut Faults) {
        faults.require(self.version == 1, "version", self.version, "1");
        faults.require(self.peek_bytes >= 1024, "peek_bytes", self.peek_bytes, "at least 1024");
        faults.require_present(!self.paths.is_empty(), "paths", "at least one request path");
        self.calls.check(faults);
        self.forward.check(faults);
        self.session.check(self.mode != Mode::Headers, faults);
        self.budget.check(self.can_cut_answers(), faults);
        self.lambda.check(faults);
        faults.require_header(&self.difficulty.header, "difficulty.header");
        faults.require_header(&self.debug.header, "debug.header");
        self.switching.check(faults);
        self.guard.check(faults);
        if let Some(tenants) = &self.tenants {
            let named = self.session.tenant_header.is_some();
            faults.require_present(
                named,
                "session.tenant_header",
                "the header that names the tenants of `tenants`",
            );
            tenants.check(self.ledger.lease_ms, faults);
        }
        self.callers.check(faults);
        self.ledger.check(faults);
        self.estimate.check(faults);
        self.members.check(faults);
        let conversation = SessionSource::Body(BodySource::Conversation);
        let refuses = self.members.stored_state == StoredState::Refuse;
        let ok = !(refuses && self.session.sources.contains(&conversation));
        let expected = "`allow`, as `session.sources` has `conversation`, which is state of the provider";
        faults.require(ok, "members.stored_state", "refuse", expected);
        models::check(&self.models, faults);
        self.check_strategy(faults);
    }

    fn check_strategy(&self, faults: &mut Faults) {
        let policy = self.strategy == Strategy::Policy;
        let given = !policy || self.policy_b64.is_some();
        faults.require_present(given, "policy_b64", "a policy archive, as the strategy is `policy`");
        if let Strategy::Always(name) = &self.strategy {
            let known = self.models.iter().any(|model| model.name == *name);
            faults.require(known, "strategy.always", name, "the name of one of the models");
        }
        let canary = self.policy_canary_b64.is_some();
        faults.require(
            policy || !canary,
            "policy_canary_b64",
            "a policy archive",
            "nothing, as the strategy is not `policy`",
        );
        let share = self.canary_share;
        faults.require((0.0..=1.0).contains(&share), "canary_share", share, "0 to 1");
        let used = canary || share == 0.0;
        faults.require(used, "canary_share", share, "0, as there is no `policy_canary_b64`");
    }

    /// Budget of a session whose request names none.
    #[must_use]
    pub fn default_budget(&self) -> NanoUsd {
        self.budget.default_usd
    }

    /// Largest budget that a header may ask for.
    #[must_use]
    pub fn max_budget(&self) -> NanoUsd {
        self.budget.max_usd.unwrap_or(self.budget.default_usd)
    }

    /// The model with this name.
    #[must_use]
    pub fn model_named(&self, name: Option<&str>) -> Option<&ModelConfig> {
        self.models.iter().find(|model| Some(model.name.as_str()) == name)
    }

    /// Whether decisions are only recorded.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.enforcement == Enforcement::Shadow
    }

    /// Whether answers can be cut at what their reservation pays.
    #[must_use]
    pub fn can_cut_answers(&self) -> bool {
        self.budget.cap_output != Some(false) && self.mode != Mode::Headers
    }

    /// Warnings: settings that are valid but probably unintended, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let headers_only = self.mode == Mode::Headers;
        let locks = self.models.iter().any(|model| model.compat_group.is_some());
        let narrow = self.models.iter().any(|model| !model.accepts.is_default());
        let adapted =
            self.models.iter().any(|model| model.max_output_tokens.is_some() || !model.stream_usage);
        let shadow = self.is_shadow();
        let idle_canary = self.policy_canary_b64.is_some() && self.canary_share == 0.0;
        let checks = [
            (
                headers_only && self.budget.cap_output == Some(true),
                "`budget.cap_output` has no effect in the mode `headers`",
            ),
            (
                headers_only && locks,
                "`compat_group` has no effect in the mode `headers`: tool loops are not seen",
            ),
            (
                headers_only && narrow,
                "`accepts` has no effect in the mode `headers`: images and tools are not seen",
            ),
            (
                headers_only && adapted,
                "`max_output_tokens` and `stream_usage` have no effect in the mode `headers`: bodies are not changed",
            ),
            (idle_canary, "`policy_canary_b64` is not used, as `canary_share` is 0"),
            (shadow, "enforcement is `shadow`: nothing is charged or refused"),
            (
                !self.callers.enabled && self.tenants.is_none(),
                "nothing bounds what one client can spend with new session ids: neither `callers` nor `tenants`",
            ),
        ];
        checks.iter().filter(|(applies, _)| *applies).map(|(_, text)| (*text).to_owned()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
