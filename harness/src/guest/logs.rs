//! What a VM records for the test: log lines, foreign calls, and the last host calls.
//!
//! It is kept outside the VM's memory, so it survives a crash and a reload.

use std::collections::{BTreeMap, VecDeque};

use crate::abi::log_level::LogLevel;

/// One line a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The level; standard output is `Info`, standard error is `Error`.
    pub level: LogLevel,
    /// The text, with bytes that are not UTF-8 replaced.
    pub text: String,
    /// The context that was active; 0 while the module was starting.
    pub context: u32,
}

/// One host call, as [`crate::Vm::trace`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracedCall {
    /// The host function.
    pub name: &'static str,
    /// The context whose callback made the call; 0 while the module was starting.
    pub context: u32,
    /// The status that the plugin got; 0 is OK. `None` while the call runs, and for a call that trapped.
    pub status: Option<u32>,
}

/// The records of one VM over all its lives. Host calls are counted in `call_counts`.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) foreign_calls: BTreeMap<String, u64>,
    pub(crate) trace: VecDeque<TracedCall>,
}

impl Records {
    /// Appends a host call, and drops the oldest ones so that at most `most` are kept.
    pub(crate) fn note_hostcall(&mut self, name: &'static str, context: u32, most: usize) {
        while self.trace.len() >= most {
            self.trace.pop_front();
        }
        self.trace.push_back(TracedCall { name, context, status: None });
    }

    pub(crate) fn note_foreign_call(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        match self.foreign_calls.get_mut(name.as_ref()) {
            Some(calls) => *calls += 1,
            None => {
                self.foreign_calls.insert(name.into_owned(), 1);
            }
        }
    }

    pub(crate) fn note_status(&mut self, status: u32) {
        // Only an allocator that calls the host nests host calls, so the last unfinished one is meant.
        if let Some(call) = self.trace.iter_mut().rev().find(|call| call.status.is_none()) {
            call.status = Some(status);
        }
    }
}
