//! The key-value store that all VMs of one vm_id share, with the compare-and-swap rules of
//! proxy-wasm-cpp-host.
//!
//! Plugins depend on these rules, which are few and surprising, so they are kept exactly:
//!
//! 1. A write with `cas` 0 always succeeds, even over a value that another VM wrote in between.
//! 2. A write with another `cas` to an existing key succeeds only if the value still has that number.
//! 3. A write to a key that does not exist succeeds with any `cas`, so a made-up `cas` means "create if absent".
//! 4. Every write gives the value a new number, one more than the last of this store, never 0.
//! 5. A plugin cannot remove a key: writing an empty value keeps the key and its number.
//!
//! Numbers are counted per store here and per process in cpp-host; a plugin cannot tell the difference.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::control::lock::lock;

/// A write was refused because the value changed since its number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value was changed since its compare-and-swap number was read")]
pub struct CasMismatch;

/// Handle on the store of one vm_id; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SharedData {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    values: HashMap<Vec<u8>, (Arc<[u8]>, u32)>,
    last_cas: u32,
    forced_mismatches: u32,
}

impl Store {
    fn next_cas(&mut self) -> u32 {
        // 0 means "no number" in the ABI, so the counter skips it when it wraps.
        self.last_cas = self.last_cas.checked_add(1).unwrap_or(1);
        self.last_cas
    }
}

impl SharedData {
    /// The value and number of `key`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, u32)> {
        self.get_shared(key.as_ref()).map(|(value, number)| (value.to_vec(), number))
    }

    /// As [`SharedData::get`], without a copy of the value.
    pub(crate) fn get_shared(&self, key: &[u8]) -> Option<(Arc<[u8]>, u32)> {
        lock(&self.store).values.get(key).cloned()
    }

    /// Writes `key` under the rules of the module documentation.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, cas: u32) -> Result<(), CasMismatch> {
        let key = key.as_ref();
        let mut store = lock(&self.store);
        if cas != 0 && store.forced_mismatches > 0 {
            store.forced_mismatches -= 1;
            return Err(CasMismatch);
        }
        let held = store.values.get(key).map(|(_, held)| *held);
        if held.is_some_and(|held| cas != 0 && cas != held) {
            return Err(CasMismatch);
        }
        let written = (Arc::from(value.as_ref()), store.next_cas());
        match store.values.get_mut(key) {
            Some(entry) => *entry = written,
            None => {
                store.values.insert(key.to_vec(), written);
            }
        }
        Ok(())
    }

    /// Makes the next `count` writes with a non-zero `cas` fail with a mismatch, as if another VM had
    /// been faster.
    pub fn force_cas_mismatch(&self, count: u32) {
        lock(&self.store).forced_mismatches = count;
    }

    /// How many forced mismatches are pending.
    pub fn forced_mismatches_left(&self) -> u32 {
        lock(&self.store).forced_mismatches
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<_> = lock(&self.store).values.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        lock(&self.store).values.len()
    }

    /// Whether no key was ever written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values, for tests that bound a plugin's memory.
    pub fn byte_size(&self) -> usize {
        lock(&self.store).values.iter().map(|(key, (value, _))| key.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cas_of(store: &SharedData, key: &str) -> u32 {
        store.get(key).unwrap().1
    }

    #[test]
    fn an_absent_key_is_not_found() {
        assert_eq!(SharedData::default().get("a"), None);
    }

    #[test]
    fn zero_writes_blindly_over_a_newer_value() {
        let store = SharedData::default();
        store.set("a", "1", 0).unwrap();
        store.set("a", "2", 0).unwrap();
        assert_eq!(store.get("a"), Some((b"2".to_vec(), 2)));
    }

    #[test]
    fn a_stale_number_is_refused_and_changes_nothing() {
        let store = SharedData::default();
        store.set("a", "1", 0).unwrap();
        let seen = cas_of(&store, "a");
        store.set("a", "2", seen).unwrap();
        assert_eq!(store.set("a", "3", seen), Err(CasMismatch));
        assert_eq!(store.get("a").unwrap().0, b"2");
    }

    #[test]
    fn an_absent_key_is_created_with_any_number() {
        let store = SharedData::default();
        store.set("a", "mine", u32::MAX).unwrap();
        assert_eq!(store.set("a", "theirs", u32::MAX), Err(CasMismatch));
        assert_eq!(store.get("a").unwrap().0, b"mine");
    }

    #[test]
    fn an_emptied_key_keeps_its_number() {
        let store = SharedData::default();
        store.set("a", "1", 0).unwrap();
        store.set("a", "", 0).unwrap();
        assert_eq!(store.get("a"), Some((Vec::new(), 2)));
        assert_eq!(store.set("a", "new", u32::MAX), Err(CasMismatch));
    }

    #[test]
    fn numbers_rise_over_all_keys_and_skip_zero() {
        let store = SharedData::default();
        store.set("a", "", 0).unwrap();
        store.set("b", "", 0).unwrap();
        assert_eq!((cas_of(&store, "a"), cas_of(&store, "b")), (1, 2));
        lock(&store.store).last_cas = u32::MAX;
        store.set("a", "", 0).unwrap();
        assert_eq!(cas_of(&store, "a"), 1);
    }

    #[test]
    fn forced_mismatches_hit_only_compare_and_swap() {
        let store = SharedData::default();
        store.force_cas_mismatch(1);
        store.set("a", "blind", 0).unwrap();
        let seen = cas_of(&store, "a");
        assert_eq!(store.set("a", "1", seen), Err(CasMismatch));
        store.set("a", "1", seen).unwrap();
        assert_eq!(store.forced_mismatches_left(), 0);
    }

    #[test]
    fn increments_from_many_threads_are_all_counted() {
        let store = SharedData::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        loop {
                            let (value, cas) = store.get("n").unwrap_or((b"0".to_vec(), u32::MAX));
                            let count: u64 = String::from_utf8(value).unwrap().parse().unwrap();
                            if store.set("n", (count + 1).to_string(), cas).is_ok() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(store.get("n").unwrap().0, b"2000");
    }

    proptest! {
        #[test]
        fn a_write_succeeds_exactly_when_the_rules_say_so(
            writes in prop::collection::vec((0u8..3, 0u32..8), 1..40)) {
            let store = SharedData::default();
            for (key, cas) in writes {
                let before = store.get([key]);
                let allowed = cas == 0 || before.as_ref().is_none_or(|(_, held)| *held == cas);
                prop_assert_eq!(store.set([key], [key], cas).is_ok(), allowed);
                let after = store.get([key]);
                prop_assert_eq!(after.is_some(), allowed || before.is_some());
                prop_assert_eq!(after != before, allowed);
            }
        }
    }
}
