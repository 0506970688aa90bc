//! Seeded random numbers: for `random_get`, and for the order in which VMs take turns.
//!
//! A plugin that salts a hash or samples must do the same in every run of a test, so each VM draws from its
//! own generator, seeded by the host's seed and the VM's number. This is SplitMix64: statistically fair, not
//! secret.

/// A SplitMix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The generator of the VM with number `stream` under `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Random { state: stream };
        let offset = mixer.next();
        Random { state: seed ^ offset }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0. The bias of the remainder is below 2^-32 for small bounds.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// `len` random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len.next_multiple_of(8));
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
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
