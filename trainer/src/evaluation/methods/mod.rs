//! What is compared: trained policies with several seeds, routers, and the hindsight bounds.
//!
//! A method plays all sessions under one budget. It makes its routers anew each time, so that methods can play in
//! parallel on several threads although an engine with a policy belongs to one.

mod hindsight;
mod policy;
mod router;

use seqroute_core::money::NanoUsd;
use serde::Serialize;

use crate::baselines::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::EpisodeResult;
use seqroute_sessions::session::Session;

pub use hindsight::HindsightMethod;
pub use policy::PolicyMethod;
pub use router::RouterMethod;

/// Groups of methods in tables and plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// The first policy.
    Ours,
    /// Another trained policy.
    Learned,
    /// A variant of the first policy with one thing changed.
    Ablation,
    /// A rule with little or no training.
    Baseline,
    /// An upper or lower bound that knows more than a router can.
    Bound,
}

/// The outcome of playing all sessions under one budget.
#[derive(Clone, Debug)]
pub struct Played {
    /// By seed, by session.
    pub seeds: Vec<Vec<EpisodeResult>>,
    /// The tuned setting, if it has one.
    pub setting: Option<f64>,
}

/// One row of the tables.
pub trait Method: Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Its group.
    fn kind(&self) -> MethodKind;

    /// Its routers for a budget, one per seed; none if it is not a router.
    ///
    /// # Errors
    /// The core refuses the models, or the data to tune on lack an answer.
    fn routers(&self, budget: NanoUsd) -> Result<Routers, TrainError>;

    /// Plays all sessions under one budget.
    ///
    /// # Errors
    /// The core refuses the models, or the data lack an answer.
    fn play(&self, sessions: &[Session], budget: NanoUsd) -> Result<Played, TrainError> {
        let Routers { routers, setting } = self.routers(budget)?;
        let seeds = routers.iter().map(|router| play(&**router, sessions, budget));
        Ok(Played { seeds: seeds.collect::<Result<_, _>>()?, setting })
    }
}

/// Routers for a budget, with their tuned setting.
#[derive(Default)]
pub struct Routers {
    /// One per seed.
    pub routers: Vec<Box<dyn Router>>,
    /// The tuned setting, if it has one.
    pub setting: Option<f64>,
}

impl Routers {
    /// One router without a setting.
    #[must_use]
    pub fn one(router: impl Router + 'static) -> Routers {
        Routers { routers: vec![Box::new(router)], setting: None }
    }

    /// One router with its tuned setting.
    #[must_use]
    pub fn tuned<R: Router + 'static>((router, setting): (R, f64)) -> Routers {
        Routers { setting: Some(setting), ..Routers::one(router) }
    }
}

/// Plays all sessions with one router.
///
/// # Errors
/// The data lack an answer.
pub fn play(
    router: &dyn Router,
    sessions: &[Session],
    budget: NanoUsd,
) -> Result<Vec<EpisodeResult>, TrainError> {
    let run = |(index, session)| router.run(index, session, budget);
    sessions.iter().enumerate().map(run).collect()
}
