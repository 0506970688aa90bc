//! Tests of who makes room for whom in a bucket.

use super::*;
use crate::ledger::sessions::SessionTable;
use crate::ledger::store::MemoryStore;
use crate::ledger::view::{Booking, Namespace, SettledTurn};
use crate::request::conversation::Conversation;
use proptest::prelude::*;

const BUDGET: NanoUsd = NanoUsd(1000);
const HOUR_MS: u64 = 3_600_000;

fn config() -> LedgerConfig {
    LedgerConfig { buckets: 1, sessions_per_bucket: 4, reservations_per_bucket: 8, ..LedgerConfig::default() }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

struct World {
    config: LedgerConfig,
    store: MemoryStore,
    counts: Counts,
}

impl World {
    fn new(config: LedgerConfig) -> World {
        World { config, store: MemoryStore::default(), counts: Counts::default() }
    }

    fn hold(&mut self, number: u8, owner: u64, now_ms: u64) -> Result<u64, LedgerError> {
        let table = SessionTable::new(&self.store, &self.config, Namespace::Real);
        let counts = &mut self.counts;
        let open =
            table.open(session(number), Conversation::default(), BUDGET, || Owner(owner), now_ms, counts)?;
        Ok(table.hold(open, NanoUsd(10), now_ms, counts)?.unwrap())
    }

    fn end(&mut self, number: u8, reservation: u64, cost: u64, now_ms: u64) {
        let table = SessionTable::new(&self.store, &self.config, Namespace::Real);
        let cost = NanoUsd(cost);
        let turn = SettledTurn {
            cost,
            model: 0,
            prompt_tokens: 10,
            body_bytes: 40,
            warm_tokens: 0,
            output_tokens: 5,
        };
        table.end(session(number), reservation, Booking::Settle(turn), now_ms, &mut self.counts).unwrap();
    }

    /// A whole turn.
    fn turn(&mut self, number: u8, owner: u64, cost: u64, now_ms: u64) {
        let reservation = self.hold(number, owner, now_ms).unwrap();
        self.end(number, reservation, cost, now_ms);
    }

    fn is_there(&self, number: u8) -> bool {
        let table = SessionTable::new(&self.store, &self.config, Namespace::Real);
        table.view(session(number), 0).unwrap().is_some()
    }
}

#[test]
fn the_party_that_holds_most_places_makes_room_with_its_least_spent_session() {
    let mut world = World::new(config());
    world.turn(1, 7, 1, 0);
    for (number, cost) in [(2, 30), (3, 20), (4, 25)] {
        world.turn(number, 8, cost, u64::from(number));
    }
    world.turn(5, 9, 1, 10);
    assert!(world.is_there(1), "it has spent least of all, but its owner holds one place");
    assert!(!world.is_there(3) && world.is_there(2) && world.is_there(4));
}

#[test]
fn of_sessions_that_have_spent_the_same_the_one_unseen_for_longest_makes_room() {
    let mut world = World::new(config());
    for (now_ms, number) in (0..).zip([2, 1, 3, 4]) {
        world.turn(number, 8, 20, now_ms);
    }
    world.turn(5, 9, 1, 10);
    assert!(world.is_there(1) && !world.is_there(2));
}

#[test]
fn a_flood_of_cheap_sessions_evicts_its_own() {
    let mut world = World::new(config());
    world.turn(1, 7, 500, 0);
    world.turn(2, 7, 400, 0);
    for number in 10..100 {
        world.turn(number, 8, 1, 1);
    }
    assert!(world.is_there(1) && world.is_there(2));
    assert_eq!(world.counts.get(Counter::SessionsForgotten), 90 - 2 - 32);
}

#[test]
fn one_party_has_turns_in_flight_in_half_of_the_places() {
    let mut world = World::new(config());
    world.hold(1, 8, 0).unwrap();
    world.hold(2, 8, 0).unwrap();
    assert_eq!(world.hold(3, 8, 0), Err(LedgerError::TooManyInFlight));
    assert!(world.hold(2, 8, 0).is_ok(), "a session that has its place already");
    assert!(world.hold(4, 7, 0).is_ok() && world.hold(5, 6, 0).is_ok(), "others");
}

#[test]
fn one_party_has_half_of_the_turns_in_flight() {
    let mut world = World::new(config());
    for _ in 0..4 {
        world.hold(1, 8, 0).unwrap();
    }
    assert_eq!(world.hold(1, 8, 0), Err(LedgerError::TooManyInFlight));
    assert_eq!(world.hold(2, 8, 0), Err(LedgerError::TooManyInFlight));
    for _ in 0..4 {
        world.hold(3, 7, 0).unwrap();
    }
    assert_eq!(world.hold(4, 6, 0), Err(LedgerError::Full));
}

#[test]
fn a_session_of_one_turn_is_over_sooner_than_others() {
    let mut world = World::new(config());
    world.turn(1, 7, 10, 0);
    world.turn(2, 7, 10, 0);
    world.turn(2, 7, 10, 0);
    world.turn(3, 7, 10, HOUR_MS);
    assert!(!world.is_there(1) && world.is_there(2));
    assert_eq!(
        (world.counts.get(Counter::SessionsExpired), world.counts.get(Counter::SessionsEvicted)),
        (1, 0)
    );
    world.turn(3, 7, 10, 24 * HOUR_MS);
    assert!(!world.is_there(2));
}

proptest! {
    /// Who spends more than each of another party's sessions and holds fewer places keeps them.
    #[test]
    fn no_flood_of_one_party_evicts_a_session_of_a_smaller_one(costs in proptest::collection::vec(1u64..50, 1..60)) {
        let mut world = World::new(config());
        world.turn(1, 7, 50, 0);
        for (number, cost) in (10..).zip(costs) {
            world.turn(number, 8, cost, 1);
            prop_assert!(world.is_there(1));
        }
    }
}
