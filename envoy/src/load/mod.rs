//! Tries to overspend budgets: many sessions, each with many concurrent turns, upstreams and clients that fail, and two
//! ways to enforce a budget, compared.
//!
//! The first pass goes through the filter. The second goes through the plain listener of the same Envoy, with the same
//! calls, behind a **post-hoc checker**: a request passes while what was charged so far is below the budget, and is
//! charged after its answer. This is how gateways enforce a session budget without reservations (LiteLLM's
//! `max_budget_per_session`, `litellm/proxy/hooks/max_budget_per_session_limiter.py`). It always uses the largest model,
//! since such gateways do not choose one.
//!
//! Two sums are compared with each session's budget. **Charged** is what the ledger or the checker counted; its excess
//! over the budget is due to concurrency. **Billed** is the invoice of a provider that bills every answer that began in
//! full, cut ones included; its excess also contains usage that the gateway could not see.

mod calls;

pub use calls::{Call, MAX_OUTPUT_TOKENS, Seen, Trouble};

use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use reqwest::Client;
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_core::usage::Usage;

use crate::gateway::Charges;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of sessions.
    pub sessions: usize,
    /// Turns per session, served or not.
    pub turns: usize,
    /// Turns in flight over all sessions.
    pub in_flight: usize,
    /// Turns in flight within one session.
    pub at_once: usize,
    /// Budget of each session.
    pub budget: NanoUsd,
}

/// The costs of one session in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSums {
    /// What the ledger or the checker charged.
    pub charged: NanoUsd,
    /// What a provider bills that bills every answer that began in full.
    pub billed: NanoUsd,
}

/// The result of one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whole answers.
    pub whole: usize,
    /// Answers that were cut.
    pub cut: usize,
    /// Calls that got no answer.
    pub nothing: usize,
    /// Calls that were refused because the budget was exhausted.
    pub refused: usize,
    /// Costs by session number.
    pub sums: Vec<SessionSums>,
}

impl Tally {
    /// Number of calls, whatever came of them.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.whole + self.cut + self.nothing + self.refused
    }

    /// The sum that sessions were charged beyond their budgets, and the number of such sessions.
    #[must_use]
    pub fn overcharged(&self, budget: NanoUsd) -> (NanoUsd, usize) {
        excess(self.sums.iter().map(|sums| sums.charged), budget)
    }

    /// The sum that sessions were billed beyond their budgets, and the number of such sessions.
    #[must_use]
    pub fn overbilled(&self, budget: NanoUsd) -> (NanoUsd, usize) {
        excess(self.sums.iter().map(|sums| sums.billed), budget)
    }
}

fn excess(sums: impl Iterator<Item = NanoUsd>, budget: NanoUsd) -> (NanoUsd, usize) {
    let over = sums.map(|sum| sum.saturating_sub(budget)).filter(|over| *over > NanoUsd::ZERO);
    over.fold((NanoUsd::ZERO, 0), |(sum, count), over| (sum.saturating_add(over), count + 1))
}

/// Who enforces the budgets.
#[derive(Clone, Copy, Debug)]
pub enum Keeper<'a> {
    /// The gateway.
    Gateway,
    /// A checker in front of it that charges this model's price after each answer.
    PostHoc(&'a ModelConfig),
}

/// The id that a pass sends for a session.
#[must_use]
pub fn session_id(label: &str, session: usize) -> String {
    format!("{label}-{session}")
}

/// Sends all calls of a plan to one listener.
///
/// # Errors
/// When the gateway refuses a call for another reason than an exhausted budget, or an unknown model answers.
pub async fn play(
    client: &Client,
    url: &str,
    label: &str,
    plan: &Plan,
    models: &[ModelConfig],
    keeper: Keeper<'_>,
    progress: &ProgressBar,
) -> Result<Tally> {
    let budget_usd = plan.budget.to_string();
    let play_session = |session: usize| {
        let budget_usd = &budget_usd;
        async move {
            let sums = Mutex::new(SessionSums::default());
            let id = session_id(label, session);
            let one = |turn: usize| {
                let (sums, id) = (&sums, &id);
                async move {
                    let call = Call::of(session, turn);
                    let charged = sums.lock().map_or(NanoUsd::ZERO, |sums| sums.charged);
                    let refused = matches!(keeper, Keeper::PostHoc(_)) && charged >= plan.budget;
                    let seen =
                        if refused { Seen::Refused } else { call.send(client, url, id, budget_usd).await? };
                    add_costs(&call, &seen, models, keeper, sums)?;
                    progress.inc(1);
                    anyhow::Ok(seen)
                }
            };
            let seen: Vec<Seen> =
                stream::iter(0..plan.turns).map(one).buffer_unordered(plan.at_once).try_collect().await?;
            let sums = sums.into_inner().map_err(|error| anyhow!("{error}"))?;
            anyhow::Ok((session, seen, sums))
        }
    };
    let sessions_at_once = (plan.in_flight / plan.at_once.max(1)).max(1);
    let played = stream::iter(0..plan.sessions).map(play_session).buffer_unordered(sessions_at_once);
    let played: Vec<_> = played.try_collect().await?;
    let mut tally = Tally { sums: vec![SessionSums::default(); plan.sessions], ..Tally::default() };
    for (session, seen, sums) in played {
        tally.sums[session] = sums;
        for seen in seen {
            match seen {
                Seen::Whole(_) => tally.whole += 1,
                Seen::Cut(_) => tally.cut += 1,
                Seen::Nothing => tally.nothing += 1,
                Seen::Refused => tally.refused += 1,
            }
        }
    }
    Ok(tally)
}

/// Adds what a call was billed, and what a post-hoc checker charges for it: whole answers with usage.
fn add_costs(
    call: &Call,
    seen: &Seen,
    models: &[ModelConfig],
    keeper: Keeper<'_>,
    sums: &Mutex<SessionSums>,
) -> Result<()> {
    let (Seen::Whole(name) | Seen::Cut(name)) = seen else { return Ok(()) };
    let model = match keeper {
        Keeper::PostHoc(model) => model,
        Keeper::Gateway => {
            let found = models.iter().find(|model| model.name == *name);
            found.with_context(|| format!("an unknown model answered: `{name}`"))?
        }
    };
    let usage =
        Usage { input_tokens: call.prompt_tokens, output_tokens: call.output_tokens, ..Usage::default() };
    let cost = model.prices.cost(&usage);
    let mut sums = sums.lock().map_err(|error| anyhow!("{error}"))?;
    sums.billed = sums.billed.saturating_add(cost);
    let has_usage = call.trouble != Some(Trouble::NoUsage);
    if matches!((keeper, seen), (Keeper::PostHoc(_), Seen::Whole(_))) && has_usage {
        sums.charged = sums.charged.saturating_add(cost);
    }
    Ok(())
}

/// Puts into a tally what the gateway charged each session of a pass.
pub fn set_charged(tally: &mut Tally, label: &str, charges: &Charges) {
    for (session, sums) in tally.sums.iter_mut().enumerate() {
        (sums.charged, _) = charges.of(&session_id(label, session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_exceeds_a_budget_is_overspend() {
        let sum = |charged, billed| SessionSums { charged: NanoUsd(charged), billed: NanoUsd(billed) };
        let tally = Tally { sums: vec![sum(90, 120), sum(100, 100), sum(0, 0)], ..Tally::default() };
        assert_eq!(tally.overcharged(NanoUsd(100)), (NanoUsd::ZERO, 0));
        assert_eq!(tally.overbilled(NanoUsd(100)), (NanoUsd(20), 1));
    }
}
