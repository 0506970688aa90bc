//! The optimum of a [`Population`] by dynamic programming over turn, class, prompt length and money.
//!
//! Exact for the population model up to the resolution of the grids: no router that sees a turn's class, number and
//! prompt length and the money left, and knows the training sessions' statistics, can do better there. It knows what the
//! population knows: the category of every turn (exactly, where the data have one) or its text, and the length of its
//! message; of the answers so far only the tokens in the prompt. Played on other sessions ([`DynamicProgramRouter`]) it
//! decides with the same masks, reservations and cuts as all routers.
//!
//! ```text
//! worth(t, z, p, b, k) = E over answer lengths o [ quality(t, z, k) unless cut + later(t+1, z, p + o, b − cost) ]
//! later(t, z, h, b)    = go_on(t−1) · Σ over z' follows(t−1, z, z') · E over messages m [ max over allowed k worth(t, z', h + m, b, k) ]
//! ```
//!
//! b is the money left, whatever the budget was, so one table serves all budgets.

use std::sync::Arc;

use rayon::prelude::*;
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::decide::estimate::{self, RequestSize, TokenEstimate};
use seqroute_core::engine::{Decision, Engine};
use seqroute_core::ledger::SessionView;
use seqroute_core::money::NanoUsd;
use seqroute_core::usage::Usage;

use super::grid::Grid;
use crate::baselines::Router;
use crate::error::TrainError;
use crate::population::Population;
use seqroute_sessions::environment::{self, Episode};
use seqroute_sessions::session::Session;

/// Points of the grids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Prompt lengths.
    pub prompts: usize,
    /// Amounts of money.
    pub money: usize,
}

impl Default for Resolution {
    fn default() -> Self {
        Resolution { prompts: 40, money: 320 }
    }
}

/// A solved program.
#[derive(Debug)]
pub struct DynamicProgram {
    population: Population,
    models: Vec<ModelConfig>,
    prompts: Grid,
    money: Grid,
    /// `later[t]`: expected quality of turn t and all after it, before turn t's message is known; by class of turn
    /// t − 1, history and money. Empty for t = 0 and from the last turn on, where nothing is to come.
    later: Vec<Vec<f32>>,
}

/// A turn before its answer.
struct Turn<'a> {
    t: usize,
    class: usize,
    session: &'a SessionView,
    tokens: &'a TokenEstimate,
}

impl DynamicProgram {
    /// Solves the program of a population; the grids span what happens in `sessions`.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn solve(
        population: Population,
        models: &[ModelConfig],
        sessions: &[Session],
        resolution: Resolution,
    ) -> Result<DynamicProgram, TrainError> {
        let longest_prompt = sessions.iter().map(longest_history).max().unwrap_or(0).max(2);
        let shortest =
            population.message_tokens.iter().flatten().fold(f64::MAX, |low, tokens| low.min(*tokens));
        let prompts = Grid::new(
            shortest.clamp(1.0, longest_prompt as f64 / 2.0),
            longest_prompt as f64,
            resolution.prompts,
        );
        let highest = sessions.iter().map(|session| highest_cost(session, models)).max().unwrap_or_default();
        let least = models.iter().map(|model| cost(model, 1, 1)).min().unwrap_or_default();
        let money = Grid::new(least.0.max(1) as f64, 1.1 * highest.0.max(10) as f64, resolution.money);
        let mut program = DynamicProgram {
            later: vec![Vec::new(); population.turns() + 1],
            models: models.to_vec(),
            population,
            prompts,
            money,
        };
        for t in (1..program.population.turns()).rev() {
            program.later[t] = program.before(t)?;
        }
        Ok(program)
    }

    /// The class of a turn.
    #[must_use]
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// `later[t]`, from `later[t + 1]`.
    fn before(&self, t: usize) -> Result<Vec<f32>, TrainError> {
        let classes = self.population.classes();
        let decided = classes.into_par_iter().map(|class| self.over_messages(t, class));
        let decided = decided.collect::<Result<Vec<_>, _>>()?;
        let cells = self.prompts.points() * self.money.points();
        let go_on = self.population.go_on[t - 1];
        let mixed = self.population.follows[t - 1].par_iter().flat_map_iter(|follows| {
            let mut sum = vec![0f32; cells];
            for (share, decided) in follows.iter().zip(&decided) {
                let weight = (go_on * share) as f32;
                sum.iter_mut().zip(decided).for_each(|(sum, value)| *sum += weight * value);
            }
            sum
        });
        Ok(mixed.collect())
    }

    /// By history and money: the best worth of turn t of this class, averaged over its message.
    fn over_messages(&self, t: usize, class: usize) -> Result<Vec<f32>, TrainError> {
        let engine = environment::engine(&self.models, Strategy::BestAffordable, None)?;
        let width = self.money.points();
        let best: Vec<f32> =
            (0..self.prompts.points()).flat_map(|prompt| self.best(t, class, prompt, &engine)).collect();
        let messages = &self.population.message_tokens[class];
        let mut values = vec![0f32; best.len()];
        for (history, values) in values.chunks_exact_mut(width).enumerate() {
            for message in messages {
                let place = self.prompts.place(self.prompts.value(history) + message);
                let (below, above) =
                    (&best[place.at * width..][..width], &best[(place.at + 1) * width..][..width]);
                for ((value, below), above) in values.iter_mut().zip(below).zip(above) {
                    *value += (below + place.above * (above - below)) / messages.len() as f32;
                }
            }
        }
        Ok(values)
    }

    /// By money: the best worth of turn t of this class with a prompt of this length.
    fn best(&self, t: usize, class: usize, prompt: usize, engine: &Engine) -> Vec<f32> {
        let prompt_tokens = self.prompts.value(prompt).round() as u64;
        let mut session = self.typical_session(t, class, prompt_tokens);
        let config = &engine.config().estimate;
        let body_bytes = Some(prompt_tokens.saturating_mul(config.bytes_per_token));
        let size = RequestSize { body_bytes, ..RequestSize::default() };
        let tokens = TokenEstimate::new(config, &size, &session);
        let can_cut = engine.config().can_cut_answers();
        let estimates: Vec<_> =
            self.models.iter().map(|model| estimate::cost(model, &tokens, &session, can_cut)).collect();
        let worth = |money: usize| {
            session.budget = NanoUsd(self.money.value(money) as u64);
            let allowed = estimates
                .iter()
                .enumerate()
                .filter(|(_, estimate)| estimate.fits_context && estimate.least <= session.budget);
            let turn = Turn { t, class, session: &session, tokens: &tokens };
            allowed.map(|(k, _)| self.worth(engine, &turn, k) as f32).fold(0.0, f32::max)
        };
        (0..self.money.points()).map(worth).collect()
    }

    /// The ledger's view of a typical session of this class: answers so far have the class's mean length.
    fn typical_session(&self, t: usize, class: usize, prompt_tokens: u64) -> SessionView {
        let answers = self.population.output_tokens[class].iter().flatten();
        let answers: Vec<f64> = answers.copied().collect();
        let mean_answer = answers.iter().sum::<f64>() / answers.len().max(1) as f64;
        let messages = &self.population.message_tokens[class];
        let message = messages.iter().sum::<f64>() / messages.len().max(1) as f64;
        let before = (prompt_tokens as f64 - message - mean_answer).max(1.0) as u64;
        let first = t == 0;
        SessionView {
            turns: u32::try_from(t).unwrap_or(u32::MAX),
            last_prompt_tokens: if first { 0 } else { before },
            last_body_bytes: if first { 0 } else { before.saturating_mul(4) },
            output_tokens: (mean_answer * t as f64) as u64,
            ..SessionView::default()
        }
    }

    /// Expected quality of this turn and all after it when model `k` answers.
    fn worth(&self, engine: &Engine, turn: &Turn<'_>, k: usize) -> f64 {
        let Some(model) = self.models.get(k) else { return 0.0 };
        let population = &self.population;
        let last = population.turns().saturating_sub(1);
        let quality = population.quality[turn.t.min(last)][turn.class][k];
        let money = turn.session.available();
        let prompt_tokens = turn.tokens.prompt_tokens;
        let (_, cap) = engine.reservation(k, turn.session, turn.tokens);
        let outputs = &population.output_tokens[turn.class][k];
        let of_output = |output: &f64| {
            let wanted = output.round() as u64;
            let output_tokens = cap.map_or(wanted, |cap| cap.min(wanted));
            let left = money.saturating_sub(cost(model, prompt_tokens, output_tokens));
            let quality = if output_tokens < wanted { 0.0 } else { quality };
            quality + self.later(turn.t + 1, turn.class, prompt_tokens + output_tokens, left)
        };
        outputs.iter().map(of_output).sum::<f64>() / outputs.len().max(1) as f64
    }

    fn later(&self, t: usize, class: usize, history_tokens: u64, money: NanoUsd) -> f64 {
        let values = match self.later.get(t) {
            Some(values) if !values.is_empty() && !self.money.is_below(money.0 as f64) => values,
            _ => return 0.0,
        };
        let width = self.money.points();
        let (history, money) = (self.prompts.place(history_tokens as f64), self.money.place(money.0 as f64));
        let row = (class * self.prompts.points() + history.at) * width;
        let (below, above) = (money.of(&values[row..]), money.of(&values[row + width..]));
        f64::from(below + history.above * (above - below))
    }
}

fn cost(model: &ModelConfig, input_tokens: u64, output_tokens: u64) -> NanoUsd {
    model.prices.cost(&Usage { input_tokens, output_tokens, ..Usage::default() })
}

/// Tokens of all messages and of the longest answer in each turn.
fn longest_history(session: &Session) -> u64 {
    let longest = |turn: &seqroute_sessions::session::Turn| {
        turn.options.iter().map(|o| o.output_tokens).max().unwrap_or(0)
    };
    session.turns.iter().map(|turn| turn.input_tokens + longest(turn)).sum()
}

/// Cost of a session with the most expensive answer in each turn and the longest history.
fn highest_cost(session: &Session, models: &[ModelConfig]) -> NanoUsd {
    let mut history = 0u64;
    let mut sum = NanoUsd::ZERO;
    for turn in &session.turns {
        let prompt = history + turn.input_tokens;
        let costs = models
            .iter()
            .filter_map(|model| Some(cost(model, prompt, turn.outcome(&model.name)?.output_tokens)));
        sum = sum.saturating_add(costs.max().unwrap_or_default());
        history = prompt + turn.options.iter().map(|option| option.output_tokens).max().unwrap_or(0);
    }
    sum
}

/// Plays by a solved program.
#[derive(Debug)]
pub struct DynamicProgramRouter {
    engine: Engine,
    program: Arc<DynamicProgram>,
}

impl DynamicProgramRouter {
    /// A router that chooses the allowed model of the highest worth.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(program: Arc<DynamicProgram>) -> Result<Self, TrainError> {
        let engine = environment::engine(&program.models, Strategy::BestAffordable, None)?;
        Ok(DynamicProgramRouter { engine, program })
    }
}

impl Router for DynamicProgramRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, _: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let class = self.program.population.class(episode.turn()?);
        let session = episode.view();
        let turn = Turn { t: session.turns as usize, class, session, tokens: &decision.tokens };
        let worth = |k: usize| (k, self.program.worth(&self.engine, &turn, k));
        let allowed = decision.mask.allowed().map(worth);
        allowed.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(k, _)| k)
    }
}

#[cfg(test)]
#[path = "dynamic_program_tests.rs"]
mod tests;
