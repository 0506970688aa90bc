//! The models, who chooses among them, and what is assumed about their tokens.

mod accepts;

pub use accepts::{Accepts, ApiName, Effort, Structure, Thinking};

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use crate::MAX_MODELS;
use crate::prices::Prices;

/// Who chooses the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The trained policy.
    #[default]
    Policy,
    /// The dearest model, by rank or list price, that the budget covers now: the myopic baseline.
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
    /// APIs by which its server takes requests.
    #[serde(default = "default_apis")]
    pub apis: Vec<ApiName>,
    /// Prices in pico-USD per token.
    pub prices: Prices,
    /// Its place where the dearest or the cheapest model is meant; the greatest is the dearest. Absent: by list price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// The model is intentionally free; otherwise a price of 0 is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
    /// Input and output tokens it can hold.
    #[serde(default = "default_context_tokens")]
    pub context_tokens: u64,
    /// The most output tokens of one answer that its server writes in a second. A client that leaves a stream pays no more than
    /// can have been written by then. Absent: all that was reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<u64>,
    /// Mean output of a turn: the expected cost's estimate.
    pub expected_output_tokens: u64,
    /// Output of a turn that is rarely exceeded; reserved where the request sets no limit.
    pub upper_output_tokens: u64,
    /// The largest output limit that its server takes, of one answer; a larger one is lowered to it. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The smallest output limit that its server takes, of one answer: no answer is cut at less.
    #[serde(default = "default_min_output_tokens")]
    pub min_output_tokens: u64,
    /// Most input tokens of one image, whatever its size.
    #[serde(default = "default_image_tokens")]
    pub image_tokens: u64,
    /// The member by which its server limits an OpenAI chat answer.
    #[serde(default)]
    pub limit_member: LimitMember,
    /// A stream can be asked for its usage (`stream_options`). Where it cannot, the usage of a stream is what its server
    /// reports unasked.
    #[serde(default = "default_true")]
    pub stream_usage: bool,
    /// What it accepts in addition to text.
    #[serde(default, skip_serializing_if = "Accepts::is_default")]
    pub accepts: Accepts,
    /// Models of one group accept each other's conversations (tool calls, signed thinking, stored responses). Absent:
    /// only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat_group: Option<String>,
}

/// The member by which a server limits an OpenAI chat answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMember {
    /// `max_completion_tokens`, or `max_tokens` where the client sends that one.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens` alone (Ollama and older servers, which do not know the newer one).
    MaxTokens,
    /// `max_tokens` alone, and requests that have `max_completion_tokens` are refused (Mistral).
    MaxTokensOnly,
}

impl LimitMember {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LimitMember::MaxCompletionTokens => "max_completion_tokens",
            LimitMember::MaxTokens | LimitMember::MaxTokensOnly => "max_tokens",
        }
    }
}

/// Checks the list of models.
pub(super) fn check(models: &[ModelConfig], faults: &mut Faults) {
    let count = models.len();
    if !(1..=MAX_MODELS).contains(&count) {
        faults.add("models", format_args!("{count} models"), "1 to 8 models");
    }
    for (k, model) in models.iter().enumerate() {
        let repeated = models.iter().filter(|other| other.name == model.name).count() > 1;
        model.check(k, repeated, faults);
    }
    let ranked = models.iter().filter(|model| model.rank.is_some()).count();
    let found = format_args!("a rank of {ranked} models");
    faults.require(
        ranked == 0 || ranked == count,
        "models[].rank",
        found,
        "a rank of each model, or of none",
    );
}

impl ModelConfig {
    /// Input tokens of an image at most: those of the largest of the open models (Qwen2-VL). Providers' own are below it,
    /// but for one (`filter/docs/api-facts.md`, 4.2).
    pub const DEFAULT_IMAGE_TOKENS: u64 = 16_384;

    /// Output tokens above which no limit for so many answers is sent to it.
    #[must_use]
    pub fn most_output_tokens(&self, answers: u64) -> u64 {
        self.max_output_tokens.map_or(u64::MAX, |most| most.saturating_mul(answers.max(1)))
    }

    /// Output tokens below which no limit for so many answers is sent to it, unless it is the client's own.
    #[must_use]
    pub fn least_output_tokens(&self, answers: u64) -> u64 {
        self.min_output_tokens.saturating_mul(answers.max(1))
    }

    /// What models are ordered by where the dearest or the cheapest one is meant: the rank, or the list price of three
    /// input tokens and one of output. It does not depend on a turn.
    #[must_use]
    pub fn order(&self) -> (u32, u64) {
        let Prices { input_pico_usd_per_token: input, output_pico_usd_per_token: output, .. } = self.prices;
        (self.rank.unwrap_or(0), input.saturating_mul(3).saturating_add(output))
    }

    fn check(&self, k: usize, is_repeated: bool, faults: &mut Faults) {
        let at = |name: &str| format!("models[{k}].{name}");
        let graphic =
            |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let (name, cluster) = (&self.name, &self.cluster);
        faults.require(graphic(name), at("name"), name, "1 to 128 printable ASCII characters");
        if is_repeated {
            faults.add(at("name"), format_args!("`{name}` twice"), "names that differ");
        }
        faults.require(graphic(cluster), at("cluster"), cluster, "the name of an Envoy cluster");
        let (input, output) = (self.prices.input_pico_usd_per_token, self.prices.output_pico_usd_per_token);
        if (input == 0 || output == 0) && !self.free {
            faults.add(at("prices"), "a price of 0", "prices above 0, or `\"free\": true`");
        }
        if let Some(cached) = self.prices.cached_input_pico_usd_per_token {
            let field = at("prices.cached_input_pico_usd_per_token");
            faults.require(cached <= input, field, cached, "at most the input price");
        }
        if let Some(long) = self.prices.long_context {
            let above = long.above_input_tokens;
            let field = at("prices.long_context.above_input_tokens");
            faults.require(above > 0, field, above, "at least 1");
            let dearer = long.rates().are_at_least(&self.prices.base_rates());
            let found = "a price below that of other requests";
            faults.require(dearer, at("prices.long_context"), found, "prices that are at least as high");
        }
        let (mean, upper) = (self.expected_output_tokens, self.upper_output_tokens);
        if mean == 0 || upper < mean {
            let found = format_args!("expected {mean}, upper {upper}");
            let expected = "1 <= expected_output_tokens <= upper_output_tokens";
            faults.add(at("upper_output_tokens"), found, expected);
        }
        faults.require(self.context_tokens > 0, at("context_tokens"), self.context_tokens, "at least 1");
        faults.require_present(!self.apis.is_empty(), at("apis"), "at least one API");
        let (least, most) = (self.min_output_tokens, self.max_output_tokens.unwrap_or(u64::MAX));
        faults.require(least > 0, at("min_output_tokens"), least, "at least 1");
        faults.require(most >= least, at("max_output_tokens"), most, "at least `min_output_tokens`");
    }
}

fn default_apis() -> Vec<ApiName> {
    ApiName::ALL.to_vec()
}
fn default_min_output_tokens() -> u64 {
    1
}
fn default_true() -> bool {
    true
}
fn default_context_tokens() -> u64 {
    128_000
}
fn default_image_tokens() -> u64 {
    ModelConfig::DEFAULT_IMAGE_TOKENS
}

/// When a session stays with its model although the policy prefers another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwitchConfig {
    /// Quality that a switch must gain per whole session budget of prompt-cache discount that it gives up. 0: none.
    pub cache_margin: f32,
}

/// Token estimates from byte counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstimateConfig {
    /// Bytes of request body per input token, for expectations (about 4 in English text).
    pub bytes_per_token: u64,
    /// Bytes per input token that rarely fall short, for what has not been read of a body when it is decided on. What
    /// is read weighs by its text, and what proves denser is reserved for before it is sent on.
    pub upper_bytes_per_token: u64,
    /// What bounds the input of a body that was read.
    pub input_bound: InputBound,
    /// Input tokens that a server may add to any request: the frame of a conversation, and a system prompt of its own.
    pub request_tokens: u64,
    /// Input tokens that a server may add to a request with tools.
    pub tools_tokens: u64,
    /// Input tokens assumed where the size of a request is unknown.
    pub unknown_input_tokens: u64,
    /// How long a provider keeps a prompt's prefix cached after a turn.
    pub prompt_cache_ttl_ms: u64,
    /// The share of a prompt's prefix that was seen to be cached by the conversation's last turn, while that cache lives, which
    /// is reserved for as if it were cached no more. Below 1 the rest is a term by which a session may be billed beyond its
    /// budget.
    pub cache_doubt: f64,
    /// The charge for an answer whose final usage is not known.
    pub missing_usage: MissingUsage,
    /// What a request without an output limit may be answered with at most.
    pub unlimited_answer: UnlimitedAnswer,
    /// How often a server may run its model for one answer (tools that it runs itself). Usage of more contexts, or
    /// limits, than that is taken for an error.
    pub runs_per_answer: u64,
}

/// The charge for an answer whose final usage is not known: it was left or cut before, or reports none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingUsage {
    /// Estimated input, and output by the bytes that came, or the usage so far where that is more. Not safe: a client
    /// that leaves before the usage comes gets hidden reasoning, referenced input and all of the answer's rest for
    /// nothing.
    Estimate,
    /// Everything reserved, or the estimate where that is more.
    #[default]
    Reservation,
}

/// How long an answer may be where the request does not limit it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlimitedAnswer {
    /// As long as the model can make it, as far as the money pays. Where it pays for that, no limit is added.
    #[default]
    Model,
    /// As long as `upper_output_tokens`, as in simulations: a limit is always added.
    Usual,
}

/// What bounds the input of a body that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputBound {
    /// Its text, images and files, by what they can be billed as.
    #[default]
    Weight,
    /// Its length, by `upper_bytes_per_token` and by what the session's last turn had, as in simulations. A client that
    /// chooses its text can be billed many times what was reserved, so only where clients are trusted.
    Ratio,
}

impl SwitchConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let margin = self.cache_margin;
        faults.require((0.0..=1e6).contains(&margin), "switching.cache_margin", margin, "0 to 1000000");
    }
}

impl EstimateConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let (ratio, upper) = (self.bytes_per_token, self.upper_bytes_per_token);
        faults.require((1..=16).contains(&ratio), "estimate.bytes_per_token", ratio, "1 to 16");
        let field = "estimate.upper_bytes_per_token";
        faults.require((1..=ratio).contains(&upper), field, upper, "1 to `estimate.bytes_per_token`");
        let doubt = self.cache_doubt;
        faults.require((0.0..=1.0).contains(&doubt), "estimate.cache_doubt", doubt, "0 to 1");
        let runs = self.runs_per_answer;
        faults.require((1..=1000).contains(&runs), "estimate.runs_per_answer", runs, "1 to 1000");
    }
}

impl Default for EstimateConfig {
    fn default() -> Self {
        EstimateConfig {
            bytes_per_token: 4,
            upper_bytes_per_token: 3,
            input_bound: InputBound::default(),
            request_tokens: 64,
            tools_tokens: 1024,
            unknown_input_tokens: 32_000,
            prompt_cache_ttl_ms: 5 * 60 * 1000,
            missing_usage: MissingUsage::default(),
            cache_doubt: 1.0,
            unlimited_answer: UnlimitedAnswer::default(),
            runs_per_answer: 1,
        }
    }
}
