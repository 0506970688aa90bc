//! The hindsight bounds.

use seqroute_core::money::NanoUsd;

use super::{Method, MethodKind, Played, Routers};
use crate::bounds::hindsight::Frontier;
use crate::error::TrainError;
use seqroute_sessions::environment::EpisodeResult;
use seqroute_sessions::session::Session;

/// A hindsight bound, with the frontiers of the sessions to play.
pub struct HindsightMethod {
    /// Its name.
    pub name: String,
    /// By session.
    pub frontiers: Vec<Frontier>,
}

impl Method for HindsightMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> MethodKind {
        MethodKind::Bound
    }

    fn routers(&self, _: NanoUsd) -> Result<Routers, TrainError> {
        Ok(Routers::default())
    }

    fn play(&self, sessions: &[Session], budget: NanoUsd) -> Result<Played, TrainError> {
        let result = |(session, frontier): (&Session, &Frontier)| {
            let (cost, quality) = frontier.within(budget);
            let turns = session.turns.len();
            EpisodeResult { quality, cost, turns, served: turns, ..EpisodeResult::default() }
        };
        Ok(Played { seeds: vec![sessions.iter().zip(&self.frontiers).map(result).collect()], setting: None })
    }
}
