//! Who is compared: recipes for routers, trained policies with several seeds, and the hindsight bounds.
//!
//! A contestant plays all sessions under one budget. It makes its routers anew each time, so that contestants can play
//! side by side on several threads although an engine with a policy belongs to one.

use seqroute_core::config::{GuardConfig, LambdaRule, ModelConfig};
use seqroute_core::money::NanoUsd;
use seqroute_core::policy::Policy;
use serde::Serialize;

use crate::baselines::{CoreRouter, Router};
use crate::bounds::hindsight::Frontier;
use seqroute_sessions::environment::{EpisodeResult, ReplayError};
use seqroute_sessions::guard;
use seqroute_sessions::session::Session;

/// What a contestant is, for tables and plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The policy in question.
    Ours,
    /// Another trained policy.
    Learned,
    /// A variant of the policy in question, with one thing changed.
    Ablation,
    /// A rule that needs no training, or little.
    Baseline,
    /// A limit: it knows more than a router can.
    Bound,
}

/// What came of playing all sessions under one budget.
#[derive(Clone, Debug)]
pub struct Played {
    /// By seed, by session.
    pub seeds: Vec<Vec<EpisodeResult>>,
    /// The setting that tuning chose, where there is one.
    pub setting: Option<f64>,
}

/// One line of the table.
pub trait Contestant: Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// What it is.
    fn kind(&self) -> Kind;

    /// Its routers for a budget, one per seed; none where it is no router.
    ///
    /// # Errors
    /// The core refuses the models, or the data to tune on lacks an answer.
    fn enter(&self, budget: NanoUsd) -> Result<Entered, ReplayError>;

    /// Plays all sessions under one budget.
    ///
    /// # Errors
    /// The core refuses the models, or the data lacks an answer.
    fn play(&self, sessions: &[Session], budget: NanoUsd) -> Result<Played, ReplayError> {
        let Entered { routers, setting } = self.enter(budget)?;
        let seeds = routers.iter().map(|router| play(&**router, sessions, budget));
        Ok(Played { seeds: seeds.collect::<Result<_, _>>()?, setting })
    }
}

/// Routers for a budget, with the setting that they were tuned to.
#[derive(Default)]
pub struct Entered {
    /// One per seed.
    pub routers: Vec<Box<dyn Router>>,
    /// The setting that tuning chose, where there is one.
    pub setting: Option<f64>,
}

impl Entered {
    /// One router without a setting.
    #[must_use]
    pub fn one(router: impl Router + 'static) -> Entered {
        Entered { routers: vec![Box::new(router)], setting: None }
    }

    /// One router with the setting that it was tuned to.
    #[must_use]
    pub fn tuned<R: Router + 'static>((router, setting): (R, f64)) -> Entered {
        Entered { setting: Some(setting), ..Entered::one(router) }
    }
}

/// A baseline or bound that is a router.
pub struct Recipe<F> {
    name: String,
    kind: Kind,
    make: F,
}

impl<F: Fn(NanoUsd) -> Result<Entered, ReplayError> + Sync> Recipe<F> {
    /// A contestant that plays as the router that `make` gives for a budget.
    pub fn new(name: impl Into<String>, kind: Kind, make: F) -> Self {
        Recipe { name: name.into(), kind, make }
    }
}

impl<F: Fn(NanoUsd) -> Result<Entered, ReplayError> + Sync> Contestant for Recipe<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn enter(&self, budget: NanoUsd) -> Result<Entered, ReplayError> {
        (self.make)(budget)
    }
}

/// A trained policy, several archives where it was trained with several seeds.
#[derive(Clone, Debug)]
pub struct PolicyContestant {
    /// Its name.
    pub name: String,
    /// Whether it is the policy in question.
    pub kind: Kind,
    /// The models.
    pub models: Vec<ModelConfig>,
    /// The archives, one per seed.
    pub archives: Vec<Vec<u8>>,
    /// Each plays behind the guard that it was trained with; else without one.
    pub guarded: bool,
    /// λ of its decisions.
    pub lambda: f32,
    /// What λ is charged on.
    pub rule: LambdaRule,
}

impl PolicyContestant {
    /// The routers, one per archive.
    ///
    /// # Errors
    /// An archive cannot serve these models, or its manifest has no readable guard.
    pub fn routers(&self) -> Result<Vec<CoreRouter>, ReplayError> {
        let router = |archive: &Vec<u8>| {
            let policy = Policy::open(archive)?;
            let guard = if self.guarded { guard::of(&policy)? } else { GuardConfig::default() };
            CoreRouter::priced(&self.models, policy, guard, self.lambda, self.rule)
        };
        self.archives.iter().map(router).collect()
    }
}

impl Contestant for PolicyContestant {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn enter(&self, _: NanoUsd) -> Result<Entered, ReplayError> {
        let boxed = |router| Box::new(router) as Box<dyn Router>;
        Ok(Entered { routers: self.routers()?.into_iter().map(boxed).collect(), setting: None })
    }
}

/// A hindsight bound: the frontiers of the sessions that it plays.
pub struct HindsightContestant {
    /// Its name.
    pub name: String,
    /// By session.
    pub frontiers: Vec<Frontier>,
}

impl Contestant for HindsightContestant {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Bound
    }

    fn enter(&self, _: NanoUsd) -> Result<Entered, ReplayError> {
        Ok(Entered::default())
    }

    fn play(&self, sessions: &[Session], budget: NanoUsd) -> Result<Played, ReplayError> {
        let result = |(session, frontier): (&Session, &Frontier)| {
            let (cost, quality) = frontier.within(budget);
            let turns = session.turns.len();
            EpisodeResult { quality, cost, turns, served: turns, ..EpisodeResult::default() }
        };
        Ok(Played { seeds: vec![sessions.iter().zip(&self.frontiers).map(result).collect()], setting: None })
    }
}

/// Plays all sessions with one router.
///
/// # Errors
/// The data lacks an answer.
pub fn play(
    router: &dyn Router,
    sessions: &[Session],
    budget: NanoUsd,
) -> Result<Vec<EpisodeResult>, ReplayError> {
    let run = |(index, session)| router.run(index, session, budget);
    sessions.iter().enumerate().map(run).collect()
}
