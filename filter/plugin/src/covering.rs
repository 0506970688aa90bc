//! Keeps a turn's money: above what its body turns out to hold, and for as long as its answer comes.

use seqroute_core::body::input::ReadInput;
use seqroute_core::counters::Counts;
use seqroute_core::engine::{Engine, Turn};

use crate::host::{self, Metrics, SharedData};

/// Whether the turn's money covers this input; more is reserved where it does not. `false`: the request must be reset.
pub fn covers(engine: &Engine, metrics: &Metrics, turn: &mut Option<Box<Turn>>, read: &ReadInput) -> bool {
    let Some(turn) = turn else { return true };
    let mut counts = Counts::default();
    let covered = engine.cover_input(&SharedData, turn, read, host::now_ms(), &mut counts);
    metrics.add(&counts);
    covered
}

/// Renews the lease of a turn whose answer is on its way.
pub fn keep_alive(engine: &Engine, metrics: &Metrics, turn: &mut Turn) {
    let mut counts = Counts::default();
    // A stream that has lost its money goes on: what it costs is charged at its end.
    let _ = engine.keep_alive(turn, &SharedData, host::now_ms(), &mut counts);
    metrics.add(&counts);
}
