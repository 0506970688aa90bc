//! Seeded random numbers: for `random_get`, and for the order in which VMs take turns.
//!
//! A plugin that salts a hash or draws samples must behave the same in every run of a test, so each VM has its own
//! generator, seeded by the host's seed and the VM's number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator whose numbers depend on its seed and stream alone.
#[derive(Clone, Debug)]
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// Stream number `stream` under `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Random(generator)
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias of the remainder is below 2^-32 for bounds below 2^32.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// `len` random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_vms_differ() {
        assert_eq!(Random::new(7, 0).bytes(19), Random::new(7, 0).bytes(19));
        assert_ne!(Random::new(7, 0).bytes(16), Random::new(7, 1).bytes(16));
        assert_ne!(Random::new(7, 0).bytes(16), Random::new(8, 0).bytes(16));
    }
}
