//! Locking in one place.
//!
//! A failed assertion in one test thread poisons the mutexes it held. The data behind them is still consistent, because
//! no invariant spans a panic point, so the other threads continue instead of failing with a second, misleading error.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also when another thread panicked while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
