//! The plugin configuration: what an operator writes, checked before anything serves by it.
//!
//! Unknown fields are refused, every value is range-checked, and each error names its field, what was found and
//! what was expected. There is no half-valid configuration: [`Config::from_json`] returns all or nothing, and on
//! an error the old configuration keeps serving.

use serde::{Deserialize, Serialize};

use crate::MAX_MODELS;
use crate::money::{NanoUsd, Prices};

/// Largest accepted configuration, policy included.
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
    /// Bytes of a body that `peek` holds back at most.
    #[serde(default = "default_peek_bytes")]
    pub peek_bytes: u64,
    /// Request paths that are LLM calls; all others pass untouched. `{model}` stands for the model's name, see
    /// [`crate::api::path_matches`].
    #[serde(default = "default_paths")]
    pub paths: Vec<String>,
    /// Where a session's identity comes from.
    #[serde(default)]
    pub session: SessionConfig,
    /// What a session may spend.
    pub budget: BudgetConfig,
    /// The price of money in the decision rule.
    #[serde(default)]
    pub lambda: LambdaConfig,
    /// Who chooses the model.
    #[serde(default)]
    pub strategy: Strategy,
    /// The models, in the order of the policy's outputs.
    pub models: Vec<ModelConfig>,
    /// The policy archive (NNEF `.tar`), base64. Required by the strategy `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_b64: Option<String>,
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

/// Sources of session identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Headers that may carry the session id, first match wins.
    pub headers: Vec<String>,
    /// Header whose value keeps the sessions of tenants apart.
    pub tenant_header: Option<String>,
    /// What a request without a session gets.
    pub no_session: NoSession,
}

/// What a request without a session gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoSession {
    /// A session of one turn with the default budget.
    #[default]
    DefaultBudget,
    /// It passes to the default cluster, unaccounted.
    Bypass,
    /// 400.
    Reject,
}

/// What a session may spend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Budget of a session that names none, decimal USD.
    pub default_usd: String,
    /// Largest budget a header may ask for, decimal USD. Absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<String>,
    /// Header with a session's budget in decimal USD; read at the session's first turn.
    #[serde(default = "default_budget_header")]
    pub header: String,
    /// Whether that header is believed. Only where clients cannot set it themselves.
    #[serde(default)]
    pub trust_header: bool,
    /// Status of a refusal: 429 or 402.
    #[serde(default = "default_exhausted_status")]
    pub exhausted_status: u32,
    /// Lower the request's own output limit to what its reservation pays, so that no answer costs more. Needs the
    /// body (mode `peek` or `body`); in the mode `headers` it has no effect.
    #[serde(default)]
    pub cap_output: bool,
}

/// The price of money in the decision rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LambdaConfig {
    /// Quality given up to save one whole session budget. 0 spends freely.
    pub value: f32,
    /// What λ is multiplied with.
    pub rule: LambdaRule,
    /// Header with a λ for this request.
    pub header: String,
    /// Whether that header is believed.
    pub trust_header: bool,
}

/// What λ is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LambdaRule {
    /// The spend to go that the policy expects, as a share of the budget: a* = argmax Q_r − λ·Q_c.
    #[default]
    SpendToGo,
    /// The expected cost of this turn alone, as a share of the budget (the paper): a* = argmax Q_r − λ·c(a)/B.
    NextCost,
}

/// Who chooses the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The trained policy.
    #[default]
    Policy,
    /// The most expensive model that the budget covers now: the myopic baseline.
    BestAffordable,
    /// Always the named model; refused when the budget does not cover it.
    Always(String),
}

/// One model that requests may be sent to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The name upstreams know, written into the body's `model`.
    pub name: String,
    /// The Envoy cluster that serves it.
    pub cluster: String,
    /// Its prices.
    pub prices: Prices,
    /// A model that is free on purpose; else a price of 0 is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// Input and output tokens it can hold.
    #[serde(default = "default_context_tokens")]
    pub context_tokens: u64,
    /// Mean output of a turn: the expected cost's estimate.
    pub expected_output_tokens: u64,
    /// Output of a turn that is rarely exceeded: what a reservation assumes where the request sets no limit.
    pub upper_output_tokens: u64,
}

/// The session table in shared data: bounded whatever clients send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Buckets the sessions are spread over. Changing it forgets all sessions.
    pub buckets: u32,
    /// Sessions a bucket holds at most.
    pub sessions_per_bucket: u32,
    /// A session unseen for this long may be forgotten.
    pub session_ttl_ms: u64,
    /// A reservation without an end after this long is given back (its VM died).
    pub lease_ms: u64,
    /// Turns of one session in flight at once.
    pub max_in_flight: u32,
    /// What happens when a bucket is full of sessions younger than the TTL.
    pub on_full: OnFull,
}

/// What happens when a bucket is full of sessions younger than the TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The new session is refused (503): no live session is ever forgotten. The default.
    #[default]
    Reject,
    /// The idle session unseen for longest is forgotten, never one with money outstanding.
    EvictIdle,
}

/// Token estimates from byte counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstimateConfig {
    /// Bytes of request body per input token, for expectations (about 4 in English text).
    pub bytes_per_token: u64,
    /// Bytes per input token that rarely fall short, for reservations.
    pub upper_bytes_per_token: u64,
    /// Input tokens assumed where the size of a request is unknown.
    pub unknown_input_tokens: u64,
}

/// Money that every model but the cheapest must leave for the turns to come (see [`crate::mask`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Turns to come after turn t, by t; the last entry serves all later turns. Empty: no guard.
    /// `seqroute models` measures them.
    pub remaining_turns: Vec<f32>,
}

impl GuardConfig {
    /// Turns to provide for after a turn that follows `settled_turns` others.
    #[must_use]
    pub fn remaining_turns_after(&self, settled_turns: u32) -> f64 {
        let at = usize::try_from(settled_turns).unwrap_or(usize::MAX);
        let found = self.remaining_turns.get(at).or(self.remaining_turns.last());
        found.copied().map_or(0.0, f64::from)
    }
}

/// What happens to requests that cannot be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorConfig {
    /// A body that is no JSON object.
    pub invalid_body: OnError,
    /// A model name that is neither one of ours nor in `auto_models`.
    pub unknown_model: OnError,
    /// A trusted budget or λ header that is no number in range.
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
fn default_budget_header() -> String {
    "x-seqroute-budget-usd".to_owned()
}
fn default_exhausted_status() -> u32 {
    429
}
fn default_context_tokens() -> u64 {
    128_000
}

impl Default for SessionConfig {
    fn default() -> Self {
        let headers = ["x-session-id", "x-conversation-id", "session-id", "agent-session-id"];
        SessionConfig {
            headers: headers.map(str::to_owned).to_vec(),
            tenant_header: None,
            no_session: NoSession::default(),
        }
    }
}

impl Default for LambdaConfig {
    fn default() -> Self {
        LambdaConfig {
            value: 0.0,
            rule: LambdaRule::default(),
            header: "x-seqroute-lambda".to_owned(),
            trust_header: false,
        }
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        LedgerConfig {
            buckets: 4096,
            sessions_per_bucket: 32,
            session_ttl_ms: 24 * 3600 * 1000,
            lease_ms: 10 * 60 * 1000,
            max_in_flight: 64,
            on_full: OnFull::default(),
        }
    }
}

impl Default for EstimateConfig {
    fn default() -> Self {
        EstimateConfig { bytes_per_token: 4, upper_bytes_per_token: 3, unknown_input_tokens: 32_000 }
    }
}

/// A configuration that cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no configuration object.
    #[error("plugin configuration: {0}")]
    Syntax(String),
    /// A field's value is out of range.
    #[error("plugin configuration, field `{field}`: found {found}, expected {expected}")]
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
        config.check()?;
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
        self.budget.cap_output && self.mode != Mode::Headers
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, field: &str, found: &dyn std::fmt::Display, expected: &'static str| {
            let error =
                || ConfigError::Field { field: field.to_owned(), found: format!("`{found}`"), expected };
            if ok { Ok(()) } else { Err(error()) }
        };
        range(self.version == 1, "version", &self.version, "1")?;
        let salt_is_long = self.salt.len() >= 8;
        range(
            salt_is_long,
            "salt",
            &format!("{} bytes", self.salt.len()),
            "at least 8 bytes of secret text",
        )?;
        range(self.peek_bytes >= 1024, "peek_bytes", &self.peek_bytes, "at least 1024")?;
        range(!self.paths.is_empty(), "paths", &"nothing", "at least one request path")?;
        let default = NanoUsd::parse_usd(&self.budget.default_usd);
        let positive = default.as_ref().is_ok_and(|amount| *amount > NanoUsd::ZERO);
        range(positive, "budget.default_usd", &self.budget.default_usd, "a positive decimal number of USD")?;
        if let Some(max) = &self.budget.max_usd {
            let covers = NanoUsd::parse_usd(max).ok() >= default.ok();
            range(covers, "budget.max_usd", max, "a decimal number of USD, at least `budget.default_usd`")?;
        }
        let status = self.budget.exhausted_status;
        range(matches!(status, 402 | 429), "budget.exhausted_status", &status, "402 or 429")?;
        let lambda = self.lambda.value;
        range(lambda.is_finite() && lambda >= 0.0, "lambda.value", &lambda, "a finite number, at least 0")?;
        for (t, turns) in self.guard.remaining_turns.iter().enumerate() {
            let field = format!("guard.remaining_turns[{t}]");
            range((0.0..=1000.0).contains(turns), &field, turns, "0 to 1000")?;
        }
        let entries = self.guard.remaining_turns.len();
        range(entries <= 256, "guard.remaining_turns", &format!("{entries} entries"), "at most 256")?;
        let ledger = &self.ledger;
        range((1..=1 << 20).contains(&ledger.buckets), "ledger.buckets", &ledger.buckets, "1 to 1048576")?;
        let per_bucket = ledger.sessions_per_bucket;
        range((1..=256).contains(&per_bucket), "ledger.sessions_per_bucket", &per_bucket, "1 to 256")?;
        range(ledger.lease_ms >= 1000, "ledger.lease_ms", &ledger.lease_ms, "at least 1000")?;
        let ttl_ms = ledger.session_ttl_ms;
        range(ttl_ms >= ledger.lease_ms, "ledger.session_ttl_ms", &ttl_ms, "at least `ledger.lease_ms`")?;
        let in_flight = ledger.max_in_flight;
        range((1..=255).contains(&in_flight), "ledger.max_in_flight", &in_flight, "1 to 255")?;
        let ratio = self.estimate.bytes_per_token;
        range((1..=16).contains(&ratio), "estimate.bytes_per_token", &ratio, "1 to 16")?;
        let upper = self.estimate.upper_bytes_per_token;
        range(
            upper >= 1 && upper <= ratio,
            "estimate.upper_bytes_per_token",
            &upper,
            "1 to `estimate.bytes_per_token`",
        )?;
        self.check_models()
    }

    fn check_models(&self) -> Result<(), ConfigError> {
        let field =
            |field: String, found: String, expected| Err(ConfigError::Field { field, found, expected });
        let count = self.models.len();
        if !(1..=MAX_MODELS).contains(&count) {
            return field("models".into(), format!("{count} models"), "1 to 8 models");
        }
        for (k, model) in self.models.iter().enumerate() {
            let at = |name: &str| format!("models[{k}].{name}");
            let token = |text: &str| {
                !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())
            };
            if !token(&model.name) {
                return field(at("name"), format!("`{}`", model.name), "1 to 128 printable ASCII characters");
            }
            if !token(&model.cluster) {
                return field(at("cluster"), format!("`{}`", model.cluster), "the name of an Envoy cluster");
            }
            if self.models.iter().filter(|other| other.name == model.name).count() > 1 {
                return field(at("name"), format!("`{}` twice", model.name), "names that differ");
            }
            let prices = model.prices;
            let zero = prices.input_pico_usd_per_token == 0 || prices.output_pico_usd_per_token == 0;
            if zero && !model.free {
                return field(at("prices"), "a price of 0".into(), "prices above 0, or `\"free\": true`");
            }
            let expected_output = model.expected_output_tokens;
            if expected_output == 0 || model.upper_output_tokens < expected_output {
                let found = format!("expected {expected_output}, upper {}", model.upper_output_tokens);
                return field(
                    at("upper_output_tokens"),
                    found,
                    "1 <= expected_output_tokens <= upper_output_tokens",
                );
            }
            if model.context_tokens == 0 {
                return field(at("context_tokens"), "`0`".into(), "at least 1");
            }
        }
        match &self.strategy {
            Strategy::Policy if self.policy_b64.is_none() => {
                field("policy_b64".into(), "nothing".into(), "a policy archive, as the strategy is `policy`")
            }
            Strategy::Always(name) if !self.models.iter().any(|model| model.name == *name) => {
                field("strategy.always".into(), format!("`{name}`"), "the name of one of the models")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A valid configuration of two models without a policy, for the tests of this crate.
    pub(crate) fn example() -> Value {
        json!({
            "version": 1, "salt": "a secret of tests",
            "strategy": "best_affordable",
            "budget": {"default_usd": "0.01"},
            "models": [
                {"name": "small", "cluster": "small-cluster", "expected_output_tokens": 100, "upper_output_tokens": 400,
                 "prices": {"input_pico_usd_per_token": 100_000, "output_pico_usd_per_token": 400_000}},
                {"name": "large", "cluster": "large-cluster", "expected_output_tokens": 100, "upper_output_tokens": 400,
                 "prices": {"input_pico_usd_per_token": 3_000_000, "output_pico_usd_per_token": 15_000_000}},
            ]
        })
    }

    fn error_of(change: impl FnOnce(&mut Value)) -> String {
        let mut value = example();
        change(&mut value);
        Config::from_json(value.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_accepted() {
        let config = Config::from_json(example().to_string().as_bytes()).unwrap();
        assert_eq!(config.default_budget(), NanoUsd(10_000_000));
        assert_eq!(config.mode, Mode::Peek);
    }

    #[test]
    fn each_bad_value_is_named_with_its_field() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 12] = [
            (|v| v["version"] = json!(2), "`version`: found `2`"),
            (|v| v["salt"] = json!("short"), "`salt`: found `5 bytes`"),
            (|v| v["budget"]["default_usd"] = json!("-1"), "`budget.default_usd`: found `-1`"),
            (|v| v["budget"]["default_usd"] = json!("NaN"), "`budget.default_usd`: found `NaN`"),
            (|v| v["budget"]["default_usd"] = json!("0"), "`budget.default_usd`: found `0`"),
            (
                |v| v["models"][0]["prices"]["input_pico_usd_per_token"] = json!(0),
                "`models[0].prices`: found a price of 0",
            ),
            (|v| v["models"][1]["name"] = json!("small"), "`models[0].name`: found `small` twice"),
            (|v| v["models"] = json!([]), "`models`: found 0 models"),
            (|v| v["strategy"] = json!({"always": "huge"}), "`strategy.always`: found `huge`"),
            (|v| v["strategy"] = json!("policy"), "`policy_b64`: found nothing"),
            (|v| v["ledger"] = json!({"lease_ms": 5}), "`ledger.lease_ms`: found `5`"),
            (|v| v["lambda"] = json!({"value": -0.5}), "`lambda.value`: found `-0.5`"),
        ];
        for (change, expected) in cases {
            let error = error_of(change);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_missing_price_and_an_unknown_field_are_refused() {
        assert!(
            error_of(|v| v["models"][0]["prices"] = json!({"input_pico_usd_per_token": 5}))
                .contains("output_pico")
        );
        assert!(error_of(|v| v["bugdet"] = json!({})).contains("bugdet"));
    }

    #[test]
    fn a_free_model_must_say_so() {
        let mut value = example();
        value["models"][0]["prices"]["input_pico_usd_per_token"] = json!(0);
        value["models"][0]["free"] = json!(true);
        assert!(Config::from_json(value.to_string().as_bytes()).is_ok());
    }
}
