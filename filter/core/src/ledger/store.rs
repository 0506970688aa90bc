//! The one thing the ledger needs of its host: values under keys, changed by compare-and-swap.
//!
//! The rules are those of proxy-wasm shared data in Envoy (proxy-wasm-cpp-host, `shared_data.cc`): a write with a
//! number that is not the key's present one fails, a write to an absent key succeeds whatever number it carries,
//! and the number 0 writes blindly. Hence a key is created race-free by writing it with [`CREATE`], a number that
//! no present key has: the second of two creators fails. Nothing here ever writes with 0.

use std::collections::HashMap;
use std::sync::Mutex;

/// The number to create a key with: absent keys accept it, present ones refuse it.
pub const CREATE: u32 = u32::MAX;

/// A stored value and its number for the next compare-and-swap.
pub type Versioned = (Vec<u8>, u32);

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done,
    /// Another VM has written in between.
    Conflict,
}

/// The host failed to read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A host call failed with this proxy-wasm status.
    #[error("shared data: the host call failed with status {0}")]
    Host(u32),
    /// A thread panicked while it held the lock of a [`MemoryStore`].
    #[error("shared data: the store's lock is poisoned")]
    Poisoned,
}

/// Shared data of a proxy-wasm host.
pub trait SharedStore {
    /// The value and its number; `None` for a key that was never written.
    ///
    /// # Errors
    /// [`StoreError`] when the host call fails.
    fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError>;

    /// Writes if the key's number is still `number` (see the module's rules).
    ///
    /// # Errors
    /// [`StoreError`] when the host call fails.
    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError>;
}

/// A store in memory with Envoy's rules, for tests and simulations.
#[derive(Debug, Default)]
pub struct MemoryStore {
    values: Mutex<(HashMap<String, Versioned>, u32)>,
}

impl MemoryStore {
    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.lock().map_or(0, |values| values.0.len())
    }

    /// Whether no key was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn byte_size(&self) -> u64 {
        let values = self.values.lock();
        let size =
            |(key, (value, _)): (&String, &Versioned)| (key.len() as u64).saturating_add(value.len() as u64);
        values.map_or(0, |values| values.0.iter().map(size).fold(0, u64::saturating_add))
    }
}

impl SharedStore for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let values = self.values.lock().map_err(|_| StoreError::Poisoned)?;
        Ok(values.0.get(key).cloned())
    }

    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError> {
        let mut values = self.values.lock().map_err(|_| StoreError::Poisoned)?;
        let (map, last) = &mut *values;
        if number != 0 && map.get(key).is_some_and(|(_, present)| *present != number) {
            return Ok(Swap::Conflict);
        }
        *last = last.wrapping_add(1).max(1);
        map.insert(key.to_owned(), (value.to_vec(), *last));
        Ok(Swap::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_creator_fails() {
        let store = MemoryStore::default();
        assert_eq!(store.compare_and_swap("k", b"a", CREATE), Ok(Swap::Done));
        assert_eq!(store.compare_and_swap("k", b"b", CREATE), Ok(Swap::Conflict));
        assert_eq!(store.get("k").unwrap().unwrap().0, b"a");
    }

    #[test]
    fn a_write_with_an_old_number_fails() {
        let store = MemoryStore::default();
        store.compare_and_swap("k", b"a", CREATE).unwrap();
        let (_, number) = store.get("k").unwrap().unwrap();
        assert_eq!(store.compare_and_swap("k", b"b", number), Ok(Swap::Done));
        assert_eq!(store.compare_and_swap("k", b"c", number), Ok(Swap::Conflict));
    }
}
