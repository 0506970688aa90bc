//! What a session may spend, and the price of money in the decision rule.

use serde::{Deserialize, Serialize};

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
    /// Lower the request's own output limit to what its reservation pays, so that no answer costs more. It needs the
    /// body, so it is on unless this says `false` in the modes `peek` and `body`, and has no effect in the mode `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_output: Option<bool>,
    /// With `cap_output`: before a session is refused, the cheapest model may still give an answer cut at what is
    /// left, if that pays at least this many tokens. Absent: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_output_tokens: Option<u64>,
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

/// Money that every model but the cheapest must leave for the turns to come (see [`crate::decide::mask`]).
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

fn default_budget_header() -> String {
    "x-seqroute-budget-usd".to_owned()
}
fn default_exhausted_status() -> u32 {
    429
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
