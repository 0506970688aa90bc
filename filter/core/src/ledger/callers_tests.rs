//! Tests of the count of new sessions, step by step. `interleaving_tests.rs` runs it with the ledger.

use super::*;
use crate::ledger::size::max_caller_bytes;
use crate::ledger::store::MemoryStore;
use proptest::prelude::*;

const WINDOW_MS: u64 = 10_000;

fn config() -> CallerConfig {
    CallerConfig {
        new_sessions: 3,
        window_ms: WINDOW_MS,
        buckets: 1,
        callers_per_bucket: 2,
        ..CallerConfig::default()
    }
}

fn caller(number: u8) -> SessionId {
    SessionId([number; 16])
}

#[derive(Default)]
struct World {
    store: MemoryStore,
    counts: Counts,
}

impl World {
    fn claim(&mut self, number: u8, now_ms: u64) -> Result<Claim, LedgerError> {
        let config = config();
        let table = CallerTable::new(&self.store, &config, Namespace::Real);
        let open = table.open(caller(number), now_ms)?;
        table.claim(open, now_ms, &mut self.counts)
    }

    fn claim_all(&mut self, number: u8, now_ms: u64) {
        for _ in 0..config().new_sessions {
            self.claim(number, now_ms).unwrap();
        }
    }
}

#[test]
fn a_caller_begins_so_many_sessions_in_a_window_and_no_more() {
    let mut world = World::default();
    world.claim_all(1, 0);
    let refused = Err(LedgerError::TooManyNewSessions { window_ms: WINDOW_MS });
    assert_eq!(world.claim(1, WINDOW_MS - 1), refused);
    assert!(world.claim(2, 0).is_ok(), "another caller");
    assert!(world.claim(1, WINDOW_MS).is_ok(), "the next window");
}

#[test]
fn a_straggler_of_the_last_window_does_not_begin_it_anew() {
    let mut world = World::default();
    world.claim_all(1, WINDOW_MS);
    assert!(world.claim(1, WINDOW_MS - 1).is_err());
    assert!(world.claim(1, WINDOW_MS).is_err());
}

#[test]
fn a_count_of_a_far_future_is_forgotten_when_the_clock_is_set_back() {
    let mut world = World::default();
    world.claim_all(1, 100 * WINDOW_MS);
    assert!(world.claim(1, WINDOW_MS).is_ok());
}

#[test]
fn a_claim_is_given_back_only_in_its_own_window() {
    let mut world = World::default();
    let claim = world.claim(1, 0).unwrap();
    world.claim_all(1, WINDOW_MS);
    let config = config();
    let table = CallerTable::new(&world.store, &config, Namespace::Real);
    table.give_back(claim, WINDOW_MS, &mut world.counts).unwrap();
    assert!(world.claim(1, WINDOW_MS).is_err());
    let mut world = World::default();
    world.claim(1, 0).unwrap();
    world.claim(1, 0).unwrap();
    let claim = world.claim(1, 0).unwrap();
    let table = CallerTable::new(&world.store, &config, Namespace::Real);
    table.give_back(claim, 0, &mut world.counts).unwrap();
    assert!(world.claim(1, 0).is_ok());
}

#[test]
fn a_flood_of_callers_refuses_nobody_and_does_not_forget_who_is_at_the_cap() {
    let mut world = World::default();
    world.claim_all(1, 0);
    for number in 2..200 {
        world.claim(number, 0).unwrap();
    }
    assert!(world.claim(1, 0).is_err(), "the flood has not freed it");
    assert_eq!(world.counts.get(Counter::CallersForgotten), 197);
}

#[test]
fn a_race_for_the_last_claim_has_one_winner() {
    let mut world = World::default();
    world.claim(1, 0).unwrap();
    world.claim(1, 0).unwrap();
    let config = config();
    let table = CallerTable::new(&world.store, &config, Namespace::Real);
    let opened = [table.open(caller(1), 0).unwrap(), table.open(caller(1), 0).unwrap()];
    let claimed = opened.map(|open| table.claim(open, 0, &mut world.counts).is_ok());
    assert_eq!(claimed, [true, false]);
}

#[test]
fn the_bytes_of_the_table_are_bounded() {
    let mut world = World::default();
    for number in 0..=255 {
        world.claim(number, 0).unwrap();
    }
    let (bytes, _) = world.store.get("seqroute/callers/1/0").unwrap().unwrap();
    assert_eq!(bytes.len() as u64, max_caller_bytes(&config()));
}

proptest! {
    #[test]
    fn writing_and_reading_is_the_identity(
        callers in proptest::collection::vec(any::<([u8; 16], u64, u32)>(), 0..5),
    ) {
        let claims = |(id, window, count)| Claims { id: SessionId(id), window, count };
        let bucket = CallerBucket { callers: callers.into_iter().map(claims).collect() };
        prop_assert_eq!(CallerBucket::from_bytes(&bucket.to_bytes()), Ok(bucket));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(bucket) = CallerBucket::from_bytes(&bytes) && !bytes.is_empty() {
            prop_assert_eq!(bucket.to_bytes(), bytes);
        }
    }
}
