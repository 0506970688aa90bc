//! What a session may spend, and the price of money in the decision rule.

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::usd;
use crate::money::NanoUsd;

/// What a session may spend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Budget of a session whose request names none; written as decimal USD.
    #[serde(with = "usd")]
    pub default_usd: NanoUsd,
    /// Largest budget that a header may ask for; written as decimal USD. Absent: the default.
    #[serde(default, with = "usd::optional", skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<NanoUsd>,
    /// Header with a session's budget in decimal USD; read at the session's first turn.
    #[serde(default = "default_budget_header")]
    pub header: String,
    /// Whether that header is trusted. Only where clients cannot set it themselves.
    #[serde(default)]
    pub trust_header: bool,
    /// Status of a refusal: 429 or 402.
    #[serde(default = "default_exhausted_status")]
    pub exhausted_status: u32,
    /// Lower the request's own output limit to what its reservation pays for, so that no answer costs more. It needs
    /// the body, so it is on unless this says `false` in the modes `peek` and `body`, and has no effect in the mode
    /// `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_output: Option<bool>,
    /// With `cap_output`: the share of a session's free money that one turn may hold, beyond its least cost. The rest is
    /// for turns beside it.
    #[serde(default = "default_turn_share")]
    pub turn_share: f64,
    /// With `cap_output`: before a session is refused, the cheapest model may still give an answer cut at the money
    /// left, if that pays for at least this many tokens. Absent: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_output_tokens: Option<u64>,
}

impl BudgetConfig {
    pub(super) fn check(&self, can_cut_answers: bool, faults: &mut Faults) {
        let (default, max) = (self.default_usd, self.max_usd.unwrap_or(self.default_usd));
        faults.require(
            default > NanoUsd::ZERO,
            "budget.default_usd",
            default,
            "a positive decimal number of USD",
        );
        faults.require(
            max >= default,
            "budget.max_usd",
            max,
            "a decimal number of USD, at least `budget.default_usd`",
        );
        faults.require_header(&self.header, "budget.header");
        let status = self.exhausted_status;
        faults.require(matches!(status, 402 | 429), "budget.exhausted_status", status, "402 or 429");
        let share = self.turn_share;
        faults.require(share > 0.0 && share <= 1.0, "budget.turn_share", share, "above 0, at most 1");
        if let Some(tokens) = self.shortest_output_tokens {
            let field = "budget.shortest_output_tokens";
            faults.require(tokens >= 1, field, tokens, "at least 1");
            faults.require(
                can_cut_answers,
                field,
                tokens,
                "`cap_output` together with it, and a mode that reads bodies",
            );
        }
    }
}

/// The price of money in the decision rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LambdaConfig {
    /// Quality given up to save one whole session budget. 0 ignores cost.
    pub value: f32,
    /// What λ is multiplied by.
    pub rule: LambdaRule,
    /// Header with the λ of one request.
    pub header: String,
    /// Whether that header is trusted.
    pub trust_header: bool,
}

impl LambdaConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let value = self.value;
        let ok = value.is_finite() && value >= 0.0;
        faults.require(ok, "lambda.value", value, "a finite number, at least 0");
        faults.require_header(&self.header, "lambda.header");
    }
}

/// What λ is multiplied by.
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

    pub(super) fn check(&self, faults: &mut Faults) {
        let entries = self.remaining_turns.len();
        let field = "guard.remaining_turns";
        faults.require(entries <= 256, field, format_args!("{entries} entries"), "at most 256");
        for (t, turns) in self.remaining_turns.iter().enumerate() {
            faults.require((0.0..=1000.0).contains(turns), format_args!("{field}[{t}]"), turns, "0 to 1000");
        }
    }
}

fn default_budget_header() -> String {
    "x-seqroute-budget-usd".to_owned()
}
fn default_turn_share() -> f64 {
    0.5
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
