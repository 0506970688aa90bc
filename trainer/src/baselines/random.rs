//! One of the allowed models, each with the same probability.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqroute_core::config::{ModelConfig, Strategy};
use seqroute_core::engine::{Decision, Engine};

use super::Router;
use crate::error::TrainError;
use seqroute_sessions::environment::{self, Episode};

/// Uniform random choice; determined by seed, session and turn.
#[derive(Debug)]
pub struct RandomRouter {
    engine: Engine,
    seed: u64,
}

impl RandomRouter {
    /// A random router.
    ///
    /// # Errors
    /// The core refuses the models.
    pub fn new(models: &[ModelConfig], seed: u64) -> Result<Self, TrainError> {
        Ok(RandomRouter { engine: environment::engine(models, Strategy::BestAffordable, None)?, seed })
    }
}

impl Router for RandomRouter {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn choose(&self, session: usize, episode: &Episode<'_>, decision: &Decision) -> Option<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(session as u64);
        rng.set_word_pos(u128::from(episode.view().turns) * 16);
        let allowed = decision.mask.allowed().count();
        if allowed == 0 {
            return None;
        }
        decision.mask.allowed().nth(rng.random_range(0..allowed))
    }
}
