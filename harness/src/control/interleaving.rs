//! Seeded interleaving of VMs at the granularity of host calls.
//!
//! Workers of a proxy share nothing but shared data and queues, and access them only through host calls. Their
//! concurrency is therefore fully described by the order of host calls: a race that no such order shows does not exist.
//! An [`Interleaving`] runs tasks on their own threads, one at a time; before each host call a seeded generator draws
//! the task that continues. The same seed always gives the same order.
//!
//! ```
//! use seqroute_harness::Interleaving;
//!
//! let mut interleaving = Interleaving::new(7);
//! for worker in 0..2 {
//!     interleaving = interleaving.task(move || {
//!         // drive a stream of the worker's own VM here
//!         let _ = worker;
//!     });
//! }
//! let schedule = interleaving.run();
//! assert_eq!(schedule.seed, 7);
//! ```
//!
//! What always holds: when a task panics, the others run to their end; then the seed and the order are printed and the
//! panic resumes. Two tasks may drive the same VM; as in a proxy, the second waits until the VM is free.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};

use crate::control::lock::lock;
use crate::control::random::Random;

thread_local! {
    /// The task that this thread runs, if any.
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
}

type Job<'env> = Box<dyn FnOnce() + Send + 'env>;

/// Tasks that take turns in an order drawn from a seed.
pub struct Interleaving<'env> {
    seed: u64,
    crash_one_in: Option<u32>,
    jobs: Vec<Job<'env>>,
}

/// The order in which the tasks of an [`Interleaving`] ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The seed that reproduces it.
    pub seed: u64,
    /// Host calls in the order they were made.
    pub steps: Vec<ScheduledCall>,
}

/// One host call of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledCall {
    /// The number of the task, in the order they were added.
    pub task: usize,
    /// The host function.
    pub hostcall: &'static str,
    /// Whether the VM was crashed in this call.
    pub crashed: bool,
}

/// A seed under which a check failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {message}")]
pub struct FailingSeed {
    /// The seed, which reproduces the failure.
    pub seed: u64,
    /// How many schedules were tried, the failing one included.
    pub tried: u64,
    /// The error of the check.
    pub message: String,
}

impl<'env> Interleaving<'env> {
    /// An interleaving without tasks.
    pub fn new(seed: u64) -> Self {
        Interleaving { seed, crash_one_in: None, jobs: Vec::new() }
    }

    /// Adds a task; tasks are numbered from 0.
    pub fn task(mut self, job: impl FnOnce() + Send + 'env) -> Self {
        self.jobs.push(Box::new(job));
        self
    }

    /// Crashes the VM with probability 1/`calls` in each host call, drawn from the same seed. The crashing call has no
    /// effect.
    pub fn crash_one_in(mut self, calls: u32) -> Self {
        self.crash_one_in = Some(calls.max(1));
        self
    }

    /// Runs all tasks to their end.
    ///
    /// # Panics
    /// When a task panics, after all tasks have ended; the seed and the order are printed to standard error.
    pub fn run(self) -> Schedule {
        let table = Arc::new(Table {
            turns: Mutex::new(Turns {
                random: Random::new(self.seed, 0),
                running: None,
                present: (0..self.jobs.len()).collect(),
                crash_one_in: self.crash_one_in,
                steps: Vec::new(),
            }),
            wakes: self.jobs.iter().map(|_| Condvar::new()).collect(),
        });
        lock(&table.turns).pass_on();
        let panics: Vec<_> = std::thread::scope(|scope| {
            let start = |(number, job): (usize, Job<'env>)| {
                let table = Arc::clone(&table);
                scope.spawn(move || sit(table, number, job))
            };
            let threads: Vec<_> = self.jobs.into_iter().enumerate().map(start).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap_or_else(Some)).collect()
        });
        let steps = std::mem::take(&mut lock(&table.turns).steps);
        let schedule = Schedule { seed: self.seed, steps };
        if let Some(panic) = panics.into_iter().next() {
            eprintln!("a task of this interleaving panicked:\n{schedule}");
            resume_unwind(panic);
        }
        schedule
    }
}

/// Runs `check` with every seed until it fails, and returns how many seeds were tried.
///
/// # Errors
/// [`FailingSeed`] for the first seed with which `check` fails.
pub fn search(
    seeds: Range<u64>,
    mut check: impl FnMut(u64) -> Result<(), String>,
) -> Result<u64, FailingSeed> {
    let mut tried = 0;
    for seed in seeds {
        tried += 1;
        check(seed).map_err(|message| FailingSeed { seed, tried, message })?;
    }
    Ok(tried)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "interleaving with seed {} ({} host calls)", self.seed, self.steps.len())?;
        for ScheduledCall { task, hostcall, crashed } in &self.steps {
            let indent = task * 4;
            let crash = if *crashed { "  <- crashed" } else { "" };
            writeln!(f, "{:indent$}{task}: {hostcall}{crash}", "")?;
        }
        Ok(())
    }
}

/// Whether a host call proceeds or crashes the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Go,
    Crash,
}

/// Waits for this thread's next turn, if it runs a task of an interleaving.
pub(crate) fn before_hostcall(name: &'static str) -> Turn {
    SEAT.with_borrow(|seat| seat.as_ref().map_or(Turn::Go, |seat| seat.before_hostcall(name)))
}

/// Lets the other tasks run, if this thread runs a task of an interleaving and is not the last one. Returns whether it
/// did.
pub(crate) fn wait_for_others() -> bool {
    SEAT.with_borrow(|seat| {
        let seat = seat.as_ref().filter(|seat| !seat.is_last());
        seat.inspect(|seat| seat.step_aside()).is_some()
    })
}

struct Table {
    turns: Mutex<Turns>,
    wakes: Vec<Condvar>,
}

struct Turns {
    random: Random,
    running: Option<usize>,
    /// Tasks that have not ended.
    present: Vec<usize>,
    crash_one_in: Option<u32>,
    steps: Vec<ScheduledCall>,
}

impl Turns {
    fn pass_on(&mut self) {
        self.running = match self.present.len() {
            0 => None,
            count => Some(self.present[self.random.below(count as u64) as usize]),
        };
    }
}

struct Seat {
    table: Arc<Table>,
    number: usize,
}

/// Runs one task; returns the panic it ended with.
fn sit(table: Arc<Table>, number: usize, job: Job<'_>) -> Option<Box<dyn std::any::Any + Send>> {
    let seat = Seat { table, number };
    seat.wait(lock(&seat.table.turns));
    SEAT.set(Some(seat));
    let outcome = catch_unwind(AssertUnwindSafe(job));
    if let Some(seat) = SEAT.take() {
        seat.leave();
    }
    outcome.err()
}

impl Seat {
    fn before_hostcall(&self, hostcall: &'static str) -> Turn {
        self.step_aside();
        let mut turns = lock(&self.table.turns);
        let crashed = match turns.crash_one_in {
            Some(calls) => turns.random.below(u64::from(calls)) == 0,
            None => false,
        };
        turns.steps.push(ScheduledCall { task: self.number, hostcall, crashed });
        if crashed { Turn::Crash } else { Turn::Go }
    }

    fn is_last(&self) -> bool {
        lock(&self.table.turns).present.len() <= 1
    }

    fn step_aside(&self) {
        let mut turns = lock(&self.table.turns);
        turns.pass_on();
        self.wake(&turns);
        self.wait(turns);
    }

    fn wake(&self, turns: &Turns) {
        if let Some(next) = turns.running.filter(|next| *next != self.number) {
            self.table.wakes[next].notify_one();
        }
    }

    fn wait(&self, mut turns: std::sync::MutexGuard<'_, Turns>) {
        while turns.running != Some(self.number) {
            turns =
                self.table.wakes[self.number].wait(turns).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn leave(&self) {
        let mut turns = lock(&self.table.turns);
        turns.present.retain(|number| *number != self.number);
        turns.pass_on();
        self.wake(&turns);
    }
}
