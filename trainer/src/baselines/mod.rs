//! Routers: the trained policy and its baselines, one file each.
//!
//! A [`Router`] sees what the filter would see, through an engine of the core. Routers that are strategies of the core
//! run as such; the others choose from the same [`Decision`]. A router with a setting is tuned for each
//! budget on other sessions than those it is compared on ([`tuned`]). To add one, write a file and add a line in
//! `evaluation/standard.rs`.

mod adaptive_lp;
mod core_router;
mod fair_share;
pub mod lp;
mod random;
mod reserve_guard;
mod threshold;

pub use adaptive_lp::AdaptiveLpRouter;
pub use core_router::CoreRouter;
pub use fair_share::FairShareRouter;
pub use random::RandomRouter;
pub use reserve_guard::ReserveGuardRouter;
pub use threshold::ThresholdRouter;

use seqroute_core::engine::{Decision, Engine};
use seqroute_core::money::NanoUsd;

use crate::error::TrainError;
use seqroute_sessions::environment::{self, Episode, EpisodeResult};
use seqroute_sessions::error::Invalid;
use seqroute_sessions::session::Session;

/// Chooses a model for every turn.
pub trait Router {
    /// The engine that makes its decisions.
    fn engine(&self) -> &Engine;

    /// λ of its decisions.
    fn lambda(&self) -> f32 {
        0.0
    }

    /// The model for the next turn; `None`, or a model that the mask forbids, ends the session.
    ///
    /// `session` is the session's number in its file: randomness must follow from it.
    fn choose(&self, session: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize>;

    /// Plays one session.
    ///
    /// # Errors
    /// The data lack the chosen model's answer.
    fn run(&self, index: usize, session: &Session, budget: NanoUsd) -> Result<EpisodeResult, TrainError> {
        let choose = |episode: &Episode<'_>, decision: &Decision| self.choose(index, episode, decision);
        Ok(environment::run(self.engine(), session, budget, self.lambda(), choose)?)
    }
}

/// The setting whose router has the highest quality on `sessions` under `budget`; the first one among equals.
///
/// # Errors
/// The core refuses the models, the data lack an answer, or there is no setting.
pub fn tuned<R: Router>(
    settings: &[f64],
    sessions: &[Session],
    budget: NanoUsd,
    make: impl Fn(f64) -> Result<R, TrainError>,
) -> Result<(R, f64), TrainError> {
    let mut best: Option<(f64, R, f64)> = None;
    for setting in settings {
        let router = make(*setting)?;
        let mut quality = 0.0;
        for (index, session) in sessions.iter().enumerate() {
            quality += router.run(index, session, budget)?.quality;
        }
        if best.as_ref().is_none_or(|(highest, ..)| quality > *highest) {
            best = Some((quality, router, *setting));
        }
    }
    let no_setting = || Invalid("a router without settings cannot be tuned".to_owned()).into();
    best.map(|(_, router, setting)| (router, setting)).ok_or_else(no_setting)
}
