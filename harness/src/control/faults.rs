//! Faults that a test injects into host calls.
//!
//! A fault hits the n-th call of one host function, counted from when it was planned, and happens once. All other
//! calls are unaffected, so a test can make any single step fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::lock::lock;

/// What a planned fault does to the host call it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The VM traps; the call has no effect.
    Trap,
    /// The call has no effect and returns this status (ABI 0.2.1: 1 not found, 2 bad argument, 10 internal
    /// failure, ...).
    Status(u32),
    /// The call takes this many milliseconds by the host's clock, and then succeeds as usual.
    SlowMs(u64),
}

/// The pending faults of one VM. Checked in every host call, at the cost of one atomic load while there are none.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    any: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    hostcall: String,
    after: u32,
    fault: Fault,
}

impl Plan {
    pub(crate) fn add(&self, hostcall: &str, after: u32, fault: Fault) {
        let mut waiting = lock(&self.waiting);
        waiting.push(Waiting { hostcall: hostcall.to_owned(), after, fault });
        self.any.store(true, Ordering::Release);
    }

    /// Removes and returns the faults that hit the call that begins now, in the order they were planned.
    pub(crate) fn hit(&self, hostcall: &str) -> Vec<Fault> {
        let mut hits = Vec::new();
        if self.is_empty() {
            return hits;
        }
        let mut waiting = lock(&self.waiting);
        waiting.retain_mut(|waiting| {
            if waiting.hostcall != hostcall {
                return true;
            }
            if waiting.after == 0 {
                hits.push(waiting.fault);
                return false;
            }
            waiting.after -= 1;
            true
        });
        self.any.store(!waiting.is_empty(), Ordering::Release);
        hits
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_call_once() {
        let plan = Plan::default();
        plan.add("a", 1, Fault::Trap);
        plan.add("a", 1, Fault::SlowMs(5));
        plan.add("b", 0, Fault::Status(10));
        assert_eq!(plan.hit("a"), []);
        assert_eq!(plan.hit("a"), [Fault::Trap, Fault::SlowMs(5)]);
        assert_eq!(plan.hit("a"), []);
        assert!(!plan.is_empty());
        assert_eq!(plan.hit("b"), [Fault::Status(10)]);
        assert!(plan.is_empty());
    }
}
