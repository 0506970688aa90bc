//! Locking in one place.
//!
//! A failed assertion in one test thread poisons the mutexes it held. The data behind them is still whole,
//! because no invariant spans a panic point, so the other threads go on instead of failing with a second,
//! misleading error.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::interleave;

/// Locks `mutex`, also when another thread panicked while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the core of a VM, which stays locked while its guest runs. A task of an interleaving that finds it
/// locked lets the others go on, because the holder may be one of them and wait for its turn.
pub(crate) fn lock_vm<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if interleave::wait_for_others() => {}
            Err(TryLockError::WouldBlock) => return lock(mutex),
        }
    }
}
