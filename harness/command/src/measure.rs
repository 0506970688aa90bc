//! Memory and processor time of this process (complete on Linux only).

use std::time::Instant;

/// Resident memory of this process in bytes; 0 if unknown.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Processor time of this thread, which other programs do not affect; `None` if unknown.
fn thread_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// Processor time is counted in steps of some milliseconds; shorter intervals are measured by wall time.
const SHORTEST_NS: u64 = 50_000_000;

/// A running measurement.
pub struct Stopwatch {
    wall: Instant,
    thread_ns: Option<u64>,
}

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Stopwatch { wall: Instant::now(), thread_ns: thread_ns() }
    }

    /// Nanoseconds of processor time of this thread, or of wall time if that is unknown.
    pub fn elapsed_ns(&self) -> u64 {
        let on_wall = u64::try_from(self.wall.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let on_processor = self.thread_ns.zip(thread_ns()).map(|(before, now)| now.saturating_sub(before));
        on_processor.filter(|ns| *ns >= SHORTEST_NS).unwrap_or(on_wall)
    }
}

/// Whether [`Stopwatch`] measures processor time.
pub fn has_processor_time() -> bool {
    thread_ns().is_some()
}
