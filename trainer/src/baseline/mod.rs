//! Whoever chooses models: the trained policy and what it has to beat, one file each.
//!
//! A [`Router`] sees what the filter would see, through an engine of the core. Routers that the core knows as
//! strategies run as such; the others choose from the same [`Decision`]. To add one: a file, and a line in
//! [`crate::evaluation::contestants`].

mod core_router;
mod random;
mod threshold;

pub use core_router::CoreRouter;
pub use random::RandomRouter;
pub use threshold::ThresholdRouter;

use seqroute_core::engine::{Decision, Engine};
use seqroute_core::money::NanoUsd;

use crate::environment::{self, Episode, EpisodeResult, ReplayError};
use crate::session::Session;

/// Chooses a model for every turn.
pub trait Router {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// The engine that it decides by.
    fn engine(&self) -> &Engine;

    /// The model for the next turn; `None` ends the session. A model that the mask forbids counts as none.
    ///
    /// `session` is the session's number in its file: randomness must follow from it.
    fn choose(&self, session: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize>;

    /// Plays one session.
    ///
    /// # Errors
    /// The data lacks the chosen model's answer.
    fn run(
        &self,
        index: usize,
        session: &Session,
        budget: NanoUsd,
        lambda: f32,
    ) -> Result<EpisodeResult, ReplayError> {
        let choose = |episode: &Episode<'_>, decision: &Decision| self.choose(index, episode, decision);
        environment::run(self.engine(), session, budget, lambda, choose)
    }
}
