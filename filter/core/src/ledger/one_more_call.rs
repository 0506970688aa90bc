//! A store that stops an operation between two of its calls, for tests of interleavings.
//!
//! The operation is run again from its start with the replies that it got before, makes one call more, and is stopped at
//! the next.

use crate::ledger::store::{MemoryStore, SharedStore, StoreError, Swap, Versioned};
use std::cell::{Cell, RefCell};

const STOPPED: u32 = u32::MAX;

/// A host's reply to one call.
#[derive(Clone, Debug)]
pub enum Reply {
    Value(Option<Versioned>),
    Swap(Swap),
    Failed,
}

/// Gives the known replies, makes one call more, and then fails, which stops the operation.
pub struct OneMoreCall<'a> {
    store: &'a MemoryStore,
    known: RefCell<Vec<Reply>>,
    next: Cell<usize>,
    may_call: Cell<bool>,
    /// The call that is made fails.
    fails: bool,
    stopped: Cell<bool>,
}

impl<'a> OneMoreCall<'a> {
    /// A store that gives these replies, and whose next call may fail.
    pub fn new(store: &'a MemoryStore, known: Vec<Reply>, fails: bool) -> Self {
        OneMoreCall {
            store,
            known: RefCell::new(known),
            next: Cell::new(0),
            may_call: Cell::new(true),
            fails,
            stopped: Cell::new(false),
        }
    }

    /// Whether the operation was stopped.
    pub fn has_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// The replies that it was given.
    pub fn into_replies(self) -> Vec<Reply> {
        self.known.into_inner()
    }

    fn answer(&self, call: impl FnOnce() -> Result<Reply, StoreError>) -> Result<Reply, StoreError> {
        let at = self.next.replace(self.next.get() + 1);
        let known = self.known.borrow().get(at).cloned();
        let reply = match known {
            Some(reply) => reply,
            None if self.may_call.replace(false) => {
                let reply = if self.fails { Reply::Failed } else { call()? };
                self.known.borrow_mut().push(reply.clone());
                reply
            }
            None => {
                self.stopped.set(true);
                return Err(StoreError::Host(STOPPED));
            }
        };
        match reply {
            Reply::Failed => Err(StoreError::Host(2)),
            reply => Ok(reply),
        }
    }
}

impl SharedStore for OneMoreCall<'_> {
    fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        match self.answer(|| Ok(Reply::Value(self.store.get(key)?)))? {
            Reply::Value(value) => Ok(value),
            other => panic!("an operation makes other calls when it is run again: {other:?}"),
        }
    }

    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError> {
        match self.answer(|| Ok(Reply::Swap(self.store.compare_and_swap(key, value, number)?)))? {
            Reply::Swap(swap) => Ok(swap),
            other => panic!("an operation makes other calls when it is run again: {other:?}"),
        }
    }
}
