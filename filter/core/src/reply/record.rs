//! The decision record: one JSON line per LLM request, enough to account, to retrain and to evaluate off-policy.
//!
//! The filter puts it into filter state, the access log prints it. It contains no prompt, no raw id and no client
//! text except the model's name, cut short.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decide::reason::Reason;
use crate::money::NanoUsd;
use crate::text_enum::text_enum;
use crate::usage::Usage;

/// Version of the record's format.
pub const RECORD_VERSION: u32 = 1;

text_enum! {
    /// How a turn ended.
    Outcome {
        /// Charged by the usage that the answer reported.
        Settled = "settled",
        /// Charged by an estimate.
        Estimated = "estimated",
        /// Nothing was charged.
        Refunded = "refunded",
        /// The filter answered itself.
        Refused = "refused",
        /// Not ended yet.
        Pending = "",
        /// An outcome of a newer filter's record.
        #[serde(other)]
        Other = "other",
    }
}

/// The name of a model or policy, shared by all records that carry it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Default for Name {
    fn default() -> Self {
        Name::from("")
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(Arc::from(name))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Arc::from(name))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, name: &Name) -> bool {
        *self == *name.0
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, text: &&str) -> bool {
        &*self.0 == *text
    }
}

/// One turn: what was seen, decided and charged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// [`RECORD_VERSION`].
    pub v: u32,
    /// When the decision was made, ms since the epoch.
    pub time_ms: u64,
    /// Salted hash of the session; `None` for a request without one.
    pub session: Option<String>,
    /// Salted hash of the tenant; `None` where tenants have no budgets.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Settled turns before this one.
    pub turn: u32,
    /// Policy id, or the name of the strategy.
    pub policy: Name,
    /// Share of the sessions that this policy decides: below 1 while a canary is tried.
    #[serde(default = "whole")]
    pub policy_share: f64,
    /// The decision was only recorded: the request passed untouched, and nothing was charged.
    #[serde(default)]
    pub shadow: bool,
    /// The model the client asked for (at most 64 characters).
    pub requested_model: Option<String>,
    /// Names of the models, in the order of the lists below.
    pub models: Vec<Name>,
    /// The chosen model; `None` when the request was refused.
    pub chosen: Option<Name>,
    /// Why the model was chosen, or the request refused.
    pub reason: Reason,
    /// Chance with which the action was taken, given the state and the policy: 1, for policies are deterministic; 0 in
    /// a shadow, whose action was not taken. A policy's share of the sessions is apart, in `policy_share`.
    pub propensity: f32,
    /// The state, in the order of [`crate::decide::features::names`], without the text block.
    pub features: Vec<f32>,
    /// The text block: [`crate::body::text::TextFeatures::to_base64`]; absent where no text was seen, where the message is
    /// short, and unless the configuration asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Which models were allowed.
    pub mask: Vec<bool>,
    /// Expected cost per model.
    #[serde(default)]
    pub expected_nano_usd: Vec<NanoUsd>,
    /// The conversation was locked to its last model, or that model's group.
    #[serde(default)]
    pub locked: bool,
    /// Quality to go per model; empty unless a policy chose.
    pub q_quality: Vec<f32>,
    /// Spend to go per model as a share of the budget; empty unless a policy chose.
    pub q_cost: Vec<f32>,
    /// λ of the decision.
    pub lambda: f32,
    /// The request's difficulty as a trusted header gave it, 0 to 1.
    #[serde(default)]
    pub difficulty: Option<f32>,
    /// Estimated input tokens.
    pub prompt_tokens: u64,
    /// The client's limit on output tokens.
    pub max_output_tokens: Option<u64>,
    /// The limit that the filter set instead, so that the answer costs no more than was reserved.
    pub output_cap_tokens: Option<u64>,
    /// The session's budget.
    pub budget_nano_usd: NanoUsd,
    /// Spent before this turn.
    pub spent_nano_usd: NanoUsd,
    /// Reserved by other turns in flight.
    pub outstanding_nano_usd: NanoUsd,
    /// Reserved for this turn.
    pub reserved_nano_usd: NanoUsd,
    /// Charged for this turn.
    pub charged_nano_usd: NanoUsd,
    /// How the turn ended.
    pub outcome: Outcome,
    /// Token usage that was charged.
    pub usage: Option<Usage>,
    /// Status of the answer the client got.
    pub status: Option<u32>,
}

impl DecisionRecord {
    /// Leaves out what only a served turn has a use for. Refusals cost nothing, so that a client can have any number of them.
    pub fn shorten(&mut self) {
        self.text = None;
        for list in [&mut self.features, &mut self.q_quality, &mut self.q_cost] {
            list.clear();
        }
        self.models.clear();
        self.expected_nano_usd.clear();
        self.mask.clear();
    }
}

fn whole() -> f64 {
    1.0
}
