//! Virtual time, which advances only when the test says so.
//!
//! Leases, ticks and expiries can only be tested when time is an input. As in an operating system there are two
//! readings: wall time, which may be set back, and monotonic time, which never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NANOS_PER_MS: u64 = 1_000_000;

/// The clock of one host; clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    readings: Arc<Readings>,
}

#[derive(Debug)]
struct Readings {
    wall_ns: AtomicU64,
    monotonic_ns: AtomicU64,
}

impl Clock {
    pub(crate) fn starting_at_ms(now_ms: u64) -> Self {
        let wall_ns = AtomicU64::new(now_ms.saturating_mul(NANOS_PER_MS));
        Clock { readings: Arc::new(Readings { wall_ns, monotonic_ns: AtomicU64::new(0) }) }
    }

    /// Wall time in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.now_ns() / NANOS_PER_MS
    }

    /// Wall time in nanoseconds since the Unix epoch.
    pub fn now_ns(&self) -> u64 {
        self.readings.wall_ns.load(Ordering::SeqCst)
    }

    /// Nanoseconds of virtual time since the host was created; timers and timeouts follow it.
    pub fn monotonic_ns(&self) -> u64 {
        self.readings.monotonic_ns.load(Ordering::SeqCst)
    }

    /// Advances both readings by `ms` milliseconds.
    pub fn advance_ms(&self, ms: u64) {
        self.advance_ns(ms.saturating_mul(NANOS_PER_MS));
    }

    /// Advances both readings by `ns` nanoseconds.
    pub fn advance_ns(&self, ns: u64) {
        self.readings.wall_ns.fetch_add(ns, Ordering::SeqCst);
        self.readings.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
    }

    /// Sets wall time. A step forward advances monotonic time too; a step back leaves it unchanged.
    pub fn set_ms(&self, now_ms: u64) {
        let target = now_ms.saturating_mul(NANOS_PER_MS);
        let before = self.readings.wall_ns.swap(target, Ordering::SeqCst);
        self.readings.monotonic_ns.fetch_add(target.saturating_sub(before), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_advances_only_on_request() {
        let clock = Clock::starting_at_ms(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        clock.advance_ms(250);
        assert_eq!((clock.now_ms(), clock.monotonic_ns()), (1_250, 250 * NANOS_PER_MS));
    }

    #[test]
    fn a_step_back_moves_wall_time_only() {
        let clock = Clock::starting_at_ms(1_000);
        clock.set_ms(4_000);
        clock.set_ms(2_000);
        assert_eq!((clock.now_ms(), clock.monotonic_ns()), (2_000, 3_000 * NANOS_PER_MS));
    }
}
