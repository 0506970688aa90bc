//! A session replayed under a budget, with the ledger's own arithmetic.
//!
//! Budgets are accounting: the same answers under another budget cost the same, so a replay is exact, not a model.
//! The prompt of turn t is the sum of the earlier messages and of the answers *actually chosen*, plus its own
//! message. A turn is decided by [`Engine::decide`], costs [`Prices::cost`] of its true usage, and is settled by
//! [`SessionView::settle`]. Training, evaluation and tests all replay through [`Episode`].
//!
//! A session goes **bankrupt** at the first turn that its policy does not serve: for a policy that may choose any allowed
//! model, when the mask allows none. It ends there, and its remaining turns count as quality 0.
//!
//! [`Prices::cost`]: seqroute_core::prices::Prices::cost

use seqroute_core::MAX_MODELS;
use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::{GuardConfig, ModelConfig, Strategy};
use seqroute_core::decide::estimate::{RequestSize, TokenEstimate};
use seqroute_core::decide::features::Features;
use seqroute_core::decide::mask::ActionMask;
use seqroute_core::decide::rule::QValues;
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::ledger::{SessionView, SettledTurn};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::{Policy, PolicyError};
use seqroute_core::usage::Usage;

use crate::error::Invalid;
use crate::session::{Outcome, Session, Turn};

/// Why a replay stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The data lack this model's outcome.
    #[error("session `{session}`, turn {turn}: no outcome of `{model}` was observed")]
    NoOutcome {
        /// The session.
        session: String,
        /// The turn, from 0.
        turn: usize,
        /// The model.
        model: String,
    },
    /// The core refuses the models.
    #[error("models: {0}")]
    Models(#[from] Invalid),
    /// The policy does not fit the models.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// An engine for offline decisions among these models.
///
/// # Errors
/// The core refuses the models, or the policy is for other models.
pub fn engine(
    models: &[ModelConfig],
    strategy: Strategy,
    policy: Option<Policy>,
) -> Result<Engine, ReplayError> {
    guarded(models, strategy, policy, &GuardConfig::default())
}

/// An engine with a guard: every model but the cheapest must leave money for later turns.
///
/// # Errors
/// The core refuses the models, or the policy is for other models.
pub fn guarded(
    models: &[ModelConfig],
    strategy: Strategy,
    policy: Option<Policy>,
    guard: &GuardConfig,
) -> Result<Engine, ReplayError> {
    let mut config = crate::models::config(models)?;
    config.strategy = strategy;
    config.guard = guard.clone();
    Ok(Engine::new(config, policy)?)
}

/// A session during replay; copy it to branch.
#[derive(Clone, Copy, Debug)]
pub struct Episode<'a> {
    engine: &'a Engine,
    session: &'a Session,
    view: SessionView,
    turn: usize,
    history_tokens: u64,
}

/// One replayed turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Quality of the answer.
    pub quality: f64,
    /// Cost of the turn.
    pub cost: NanoUsd,
    /// The answer was cut where its reservation ran out. A cut answer counts as quality 0.
    pub cut: bool,
}

impl<'a> Episode<'a> {
    /// The session before its first turn.
    #[must_use]
    pub fn new(engine: &'a Engine, session: &'a Session, budget: NanoUsd) -> Self {
        Episode { engine, session, view: SessionView::new(budget), turn: 0, history_tokens: 0 }
    }

    /// The ledger's view of the session before the next turn.
    #[must_use]
    pub fn view(&self) -> &SessionView {
        &self.view
    }

    /// The next turn; `None` after the last.
    #[must_use]
    pub fn turn(&self) -> Option<&'a Turn> {
        self.session.turns.get(self.turn)
    }

    /// Input tokens of the next turn: the history with the answers chosen so far, plus its own message.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.history_tokens.saturating_add(self.turn().map_or(0, |turn| turn.input_tokens))
    }

    /// The size of the next turn's request. A gateway sees bytes and estimates tokens from them.
    fn size(&self) -> RequestSize {
        let bytes_per_token = self.engine.config().estimate.bytes_per_token;
        let body_bytes = self.prompt_tokens().saturating_mul(bytes_per_token);
        RequestSize { body_bytes: Some(body_bytes), ..RequestSize::default() }
    }

    /// The next turn's decision by the engine: features, mask, values and choice.
    #[must_use]
    pub fn decide(&self, lambda: f32) -> Decision {
        let text = self.turn().map(|turn| turn.text).unwrap_or_default();
        self.engine.decide(&self.view, &self.size(), &text, lambda)
    }

    /// [`Episode::decide`] with text features that say "no text seen", where only state and mask matter. Relabelling
    /// decides millions of times, and the text features of a turn are the same every time.
    #[must_use]
    pub fn decide_without_text(&self, lambda: f32) -> Decision {
        self.engine.decide(&self.view, &self.size(), &TextFeatures::default(), lambda)
    }

    /// The observed outcome of `model` in the next turn.
    #[must_use]
    pub fn outcome(&self, model: usize) -> Option<&'a Outcome> {
        self.turn()?.outcome(&self.engine.model(model)?.name)
    }

    /// Plays the next turn with `model` and settles it. An answer longer than its reservation pays for is cut there, as
    /// by the gateway, and counts as quality 0.
    ///
    /// # Errors
    /// [`ReplayError::NoOutcome`]; nothing is settled then.
    pub fn take(&mut self, model: usize) -> Result<Step, ReplayError> {
        let no_outcome = || ReplayError::NoOutcome {
            session: self.session.session.clone(),
            turn: self.turn,
            model: self.engine.model(model).map_or_else(|| model.to_string(), |model| model.name.clone()),
        };
        let (Some(outcome), Some(config)) = (self.outcome(model), self.engine.model(model)) else {
            return Err(no_outcome());
        };
        let (prompt_tokens, size) = (self.prompt_tokens(), self.size());
        let tokens = TokenEstimate::new(&self.engine.config().estimate, &size, &self.view);
        let (_, cap_tokens) = self.engine.reservation(model, &self.view, &tokens);
        let output_tokens = outcome.output_tokens.min(cap_tokens.unwrap_or(u64::MAX));
        let cut = output_tokens < outcome.output_tokens;
        let usage = Usage { input_tokens: prompt_tokens, output_tokens, ..Usage::default() };
        let cost = config.prices.cost(&usage);
        let index = u8::try_from(model).map_err(|_| no_outcome())?;
        let body_bytes = size.body_bytes.unwrap_or(0);
        self.view.settle(&SettledTurn {
            cost,
            model: index,
            prompt_tokens,
            body_bytes,
            warm_tokens: 0,
            output_tokens,
        });
        self.history_tokens = prompt_tokens.saturating_add(output_tokens);
        self.turn += 1;
        Ok(Step { quality: if cut { 0.0 } else { outcome.quality }, cost, cut })
    }
}

/// The result of replaying a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EpisodeResult {
    /// Sum of the qualities of the served turns.
    pub quality: f64,
    /// Turns of the session, served or not.
    pub turns: usize,
    /// Served turns.
    pub served: usize,
    /// Served turns whose answer was cut.
    pub cut: usize,
    /// Cost of the served turns.
    pub cost: NanoUsd,
    /// A turn was not served; the session ended there.
    pub bankrupt: bool,
    /// Served turns by model.
    pub served_by: [u32; MAX_MODELS],
}

/// Replays a whole session; `choose` sees the episode and the engine's decision and returns a model, or `None` to end it.
///
/// # Errors
/// [`ReplayError::NoOutcome`] if the data lack the chosen model's answer.
pub fn run(
    engine: &Engine,
    session: &Session,
    budget: NanoUsd,
    lambda: f32,
    mut choose: impl FnMut(&Episode<'_>, &Decision) -> Option<usize>,
) -> Result<EpisodeResult, ReplayError> {
    let mut episode = Episode::new(engine, session, budget);
    let mut result = EpisodeResult { turns: session.turns.len(), ..EpisodeResult::default() };
    while episode.turn().is_some() {
        let decision = episode.decide(lambda);
        let chosen = choose(&episode, &decision).filter(|model| decision.mask.allows(*model));
        let Some(model) = chosen else {
            result.bankrupt = true;
            break;
        };
        let step = episode.take(model)?;
        result.quality += step.quality;
        result.served += 1;
        result.cut += usize::from(step.cut);
        if let Some(count) = result.served_by.get_mut(model) {
            *count += 1;
        }
    }
    result.cost = episode.view().spent;
    Ok(result)
}

/// One turn of a replay with given models.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnTrace {
    /// The state before the turn.
    pub features: Features,
    /// The policy's values for it, where the engine has a policy.
    pub values: Option<QValues>,
    /// The models that were allowed.
    pub mask: ActionMask,
    /// What the turn cost.
    pub cost: NanoUsd,
}

/// Replays a session with given models, allowed or not, and returns what a policy would have seen in each turn.
///
/// # Errors
/// [`ReplayError::NoOutcome`] if the data lack an answer.
pub fn replay(
    engine: &Engine,
    session: &Session,
    budget: NanoUsd,
    actions: &[usize],
) -> Result<Vec<TurnTrace>, ReplayError> {
    let mut episode = Episode::new(engine, session, budget);
    let turns = actions.iter().take(session.turns.len());
    turns
        .map(|action| {
            let Decision { features, values, mask, .. } = episode.decide(0.0);
            let cost = episode.take(*action)?.cost;
            Ok(TurnTrace { features, values, mask, cost })
        })
        .collect()
}

/// Mean cost of a session in nano-USD if `model` answers every turn and the budget is unlimited.
///
/// # Errors
/// [`ReplayError::NoOutcome`] if the data lack an answer of this model.
pub fn mean_cost_nano_usd(engine: &Engine, sessions: &[Session], model: usize) -> Result<f64, ReplayError> {
    let mut sum = 0.0;
    for session in sessions {
        let mut episode = Episode::new(engine, session, NanoUsd(u64::MAX));
        while episode.turn().is_some() {
            episode.take(model)?;
        }
        sum += episode.view().spent.0 as f64;
    }
    Ok(sum / sessions.len().max(1) as f64)
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
