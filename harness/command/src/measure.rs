//! What the system says of this process (Linux; elsewhere there is less to say).

use std::time::Instant;

/// Memory of this process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Time this thread has run on a processor, which other programs do not disturb; `None` where the system does not
/// tell.
fn thread_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// The system counts processor time in steps of some milliseconds; what is shorter than this is measured by the wall
/// clock.
const SHORTEST_NS: u64 = 50_000_000;

/// A running measurement.
pub struct Stopwatch {
    wall: Instant,
    thread_ns: Option<u64>,
}

impl Stopwatch {
    /// Begins to measure.
    pub fn start() -> Self {
        Stopwatch { wall: Instant::now(), thread_ns: thread_ns() }
    }

    /// Nanoseconds of processor time of this thread; of wall time where the system does not tell.
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
