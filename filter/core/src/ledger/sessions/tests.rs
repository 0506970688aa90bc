//! Tests of the session table, step by step. `interleaving_tests.rs` runs many VMs against it.

use super::*;
use crate::config::OnFull;
use crate::ledger::store::{CREATE, MemoryStore, StoreError, Swap};
use crate::ledger::view::SettledTurn;
use std::cell::Cell;

const BUDGET: NanoUsd = NanoUsd(1000);

fn config() -> LedgerConfig {
    LedgerConfig {
        buckets: 2,
        sessions_per_bucket: 4,
        lease_ms: 1000,
        session_ttl_ms: 5000,
        short_session_ttl_ms: 5000,
        on_full: OnFull::Reject,
        ..LedgerConfig::default()
    }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

/// Each session has an owner of its own.
fn owner(id: SessionId) -> Owner {
    Owner::of(id)
}

fn turn(cost: u64) -> Booking {
    Booking::Settle(SettledTurn {
        warm_tokens: 0,
        cost: NanoUsd(cost),
        model: 0,
        prompt_tokens: 10,
        body_bytes: 40,
        output_tokens: 5,
    })
}

#[derive(Debug, PartialEq)]
struct Reserved {
    seen: SessionView,
    number: Option<u64>,
}

/// Reserves `amount` if it is available, as the mask does, and decides again while other VMs are faster.
fn reserve<S: SharedStore>(
    table: &SessionTable<'_, S>,
    id: SessionId,
    now_ms: u64,
    counts: &mut Counts,
    amount: u64,
) -> Result<Reserved, LedgerError> {
    loop {
        let open = table.open(id, Conversation::default(), BUDGET, || owner(id), now_ms, counts)?;
        let seen = open.view;
        if seen.available() < NanoUsd(amount) {
            return table.leave(open, counts).map(|()| Reserved { seen, number: None });
        }
        if let Some(number) = table.hold(open, NanoUsd(amount), now_ms, counts)? {
            return Ok(Reserved { seen, number: Some(number) });
        }
    }
}

fn conserved(counts: &Counts, outstanding: u64) -> bool {
    let ended = [Counter::SettledNanoUsd, Counter::RefundedNanoUsd, Counter::ExpiredNanoUsd];
    counts.get(Counter::GrantedNanoUsd)
        == ended.map(|counter| counts.get(counter)).iter().sum::<u64>() + outstanding
}

#[test]
fn a_settlement_charges_the_true_cost_and_frees_the_rest() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let reserved = reserve(&table, session(1), 0, &mut counts, 400).unwrap();
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().available(), NanoUsd(600));
    table.end(session(1), reserved.number.unwrap(), turn(150), 1, &mut counts).unwrap();
    let view = table.view(session(1), 1).unwrap().unwrap();
    assert_eq!((view.spent, view.available(), view.turns), (NanoUsd(150), NanoUsd(850), 1));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_refund_charges_nothing_and_does_not_count_as_a_turn() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let id = reserve(&table, session(1), 0, &mut counts, 400).unwrap().number.unwrap();
    table.end(session(1), id, Booking::Refund, 1, &mut counts).unwrap();
    let view = table.view(session(1), 1).unwrap().unwrap();
    assert_eq!((view.spent, view.available(), view.turns), (NanoUsd::ZERO, BUDGET, 0));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_reservation_ends_only_once() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let first = reserve(&table, session(1), 0, &mut counts, 100).unwrap().number.unwrap();
    table.end(session(1), first, Booking::Refund, 0, &mut counts).unwrap();
    let second = reserve(&table, session(1), 0, &mut counts, 200).unwrap().number.unwrap();
    table.end(session(1), first, Booking::Refund, 0, &mut counts).unwrap();
    assert_ne!(first, second);
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().outstanding, NanoUsd(200));
    assert!(conserved(&counts, 200));
}

#[test]
fn a_refusal_of_a_new_session_writes_nothing() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let refused = reserve(&table, session(1), 0, &mut counts, 1001).unwrap();
    assert_eq!(refused.number, None);
    assert_eq!(table.view(session(1), 0).unwrap(), None);
    assert_eq!(counts, Counts::default());
}

#[test]
fn a_lease_that_ran_out_is_given_back_and_a_late_answer_still_charged() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let id = reserve(&table, session(1), 0, &mut counts, 900).unwrap().number.unwrap();
    let other = reserve(&table, session(1), 1000, &mut counts, 900).unwrap();
    assert!(other.number.is_some(), "the first lease has ended");
    table.end(session(1), id, turn(50), 1001, &mut counts).unwrap();
    assert_eq!(table.view(session(1), 1001).unwrap().unwrap().spent, NanoUsd(50));
    assert_eq!(counts.get(Counter::LateNanoUsd), 50);
    assert!(conserved(&counts, 900));
}

#[test]
fn a_cost_above_the_reservation_is_charged_and_counted() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let id = reserve(&table, session(1), 0, &mut counts, 100).unwrap().number.unwrap();
    table.end(session(1), id, turn(130), 0, &mut counts).unwrap();
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().spent, NanoUsd(130));
    assert_eq!((counts.get(Counter::Overruns), counts.get(Counter::OverrunNanoUsd)), (1, 30));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_full_bucket_refuses_a_new_session_and_keeps_the_old() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    for number in 0..4 {
        let id = reserve(&table, session(number), 0, &mut counts, 10).unwrap().number.unwrap();
        table.end(session(number), id, turn(10), 0, &mut counts).unwrap();
    }
    assert_eq!(reserve(&table, session(9), 10, &mut counts, 10), Err(LedgerError::Full));
    assert_eq!(table.view(session(0), 10).unwrap().unwrap().spent, NanoUsd(10));
    // Past the TTL the others are over.
    assert!(reserve(&table, session(9), 5000, &mut counts, 10).is_ok());
    assert_eq!((counts.get(Counter::SessionsExpired), counts.get(Counter::SessionsEvicted)), (4, 0));
}

#[test]
fn a_session_that_has_spent_nothing_makes_room_for_another() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    for number in 0..4 {
        let id = reserve(&table, session(number), 0, &mut counts, 10).unwrap().number.unwrap();
        table.end(session(number), id, Booking::Refund, 0, &mut counts).unwrap();
    }
    assert!(reserve(&table, session(9), 10, &mut counts, 10).is_ok());
    assert_eq!(counts.get(Counter::SessionsEvicted), 1);
}

#[test]
fn a_session_past_its_ttl_begins_anew() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let id = reserve(&table, session(1), 0, &mut counts, 900).unwrap().number.unwrap();
    table.end(session(1), id, turn(900), 0, &mut counts).unwrap();
    assert_eq!(
        reserve(&table, session(1), 4999, &mut counts, 900).unwrap().number,
        None,
        "one millisecond before its end"
    );
    assert!(reserve(&table, session(1), 5000, &mut counts, 900).unwrap().number.is_some());
    assert_eq!(counts.get(Counter::SessionsExpired), 1);
}

/// Fills the one bucket with sessions 0 to 3, each of which has spent 10 at its own number as time.
fn four_spenders(store: &MemoryStore, config: &LedgerConfig, counts: &mut Counts) {
    let table = SessionTable::new(store, config, Namespace::Real);
    for number in 0..4u8 {
        let now_ms = u64::from(number);
        let id = reserve(&table, session(number), now_ms, counts, 10).unwrap().number.unwrap();
        table.end(session(number), id, turn(10), now_ms, counts).unwrap();
    }
}

#[test]
fn an_evicted_session_comes_back_with_what_it_had_spent() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, on_full: OnFull::EvictIdle, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    four_spenders(&store, &config, &mut counts);
    assert!(reserve(&table, session(8), 10, &mut counts, 10).is_ok());
    assert_eq!(table.view(session(0), 10).unwrap(), None);
    let back = reserve(&table, session(0), 11, &mut counts, 10).unwrap();
    assert_eq!((back.seen.spent, back.seen.turns), (NanoUsd(10), 1));
    let moved = [Counter::SessionsEvicted, Counter::SessionsRestored, Counter::SessionsForgotten];
    assert_eq!(moved.map(|counter| counts.get(counter)), [2, 1, 0]);
}

#[test]
fn a_late_answer_is_charged_to_its_evicted_session() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, on_full: OnFull::EvictIdle, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    four_spenders(&store, &config, &mut counts);
    reserve(&table, session(8), 10, &mut counts, 10).unwrap();
    table.end(session(0), 77, turn(30), 10, &mut counts).unwrap();
    let back = reserve(&table, session(0), 11, &mut counts, 10).unwrap();
    assert_eq!((back.seen.spent, counts.get(Counter::LateNanoUsd)), (NanoUsd(40), 30));
}

#[test]
fn only_an_overflow_of_the_evicted_forgets_a_live_session_and_it_is_counted() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, on_full: OnFull::EvictIdle, evicted_per_bucket: 1, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    four_spenders(&store, &config, &mut counts);
    reserve(&table, session(8), 10, &mut counts, 10).unwrap();
    reserve(&table, session(9), 10, &mut counts, 10).unwrap();
    assert_eq!(counts.get(Counter::SessionsForgotten), 1);
}

#[test]
fn eviction_spares_sessions_with_money_outstanding() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, on_full: OnFull::EvictIdle, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    for number in 0..4 {
        let id = reserve(&table, session(number), 0, &mut counts, 10).unwrap().number.unwrap();
        if number == 3 {
            table.end(session(number), id, turn(10), 0, &mut counts).unwrap();
        }
    }
    assert!(reserve(&table, session(8), 10, &mut counts, 10).is_ok());
    assert_eq!(table.view(session(3), 10).unwrap(), None, "the only idle one made room");
    assert_eq!(reserve(&table, session(9), 10, &mut counts, 10), Err(LedgerError::Full));
}

#[test]
fn turns_in_flight_are_bounded() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { max_in_flight: 2, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    reserve(&table, session(1), 0, &mut counts, 1).unwrap();
    reserve(&table, session(1), 0, &mut counts, 1).unwrap();
    assert_eq!(reserve(&table, session(1), 0, &mut counts, 1), Err(LedgerError::TooManyInFlight));
}

#[test]
fn turns_in_flight_of_a_bucket_are_bounded() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, reservations_per_bucket: 2, ..config() };
    let table = SessionTable::new(&store, &config, Namespace::Real);
    reserve(&table, session(1), 0, &mut counts, 1).unwrap();
    reserve(&table, session(2), 0, &mut counts, 1).unwrap();
    assert_eq!(reserve(&table, session(2), 0, &mut counts, 1), Err(LedgerError::Full));
    assert_eq!(reserve(&table, session(3), 0, &mut counts, 1), Err(LedgerError::Full));
}

#[test]
fn a_decision_that_asks_for_more_than_is_free_gets_nothing() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let open = table
        .open(session(1), Conversation::default(), BUDGET, || owner(session(1)), 0, &mut counts)
        .unwrap();
    let greedy = table.hold(open, NanoUsd(1001), 0, &mut counts);
    assert_eq!(greedy, Err(LedgerError::Overdrawn { asked: NanoUsd(1001), free: BUDGET }));
    assert_eq!(counts, Counts::default());
}

#[test]
fn expired_leases_are_counted() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    reserve(&table, session(1), 0, &mut counts, 10).unwrap();
    reserve(&table, session(1), 0, &mut counts, 20).unwrap();
    reserve(&table, session(1), 1000, &mut counts, 5).unwrap();
    assert_eq!((counts.get(Counter::LeasesExpired), counts.get(Counter::ExpiredNanoUsd)), (2, 30));
}

#[test]
fn a_renewed_lease_ends_one_lease_later_and_only_when_it_is_due() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let number = reserve(&table, session(1), 0, &mut counts, 900).unwrap().number.unwrap();
    let outstanding = |now_ms| table.view(session(1), now_ms).unwrap().unwrap().outstanding.0;
    let mut renew = |now_ms| table.renew(session(1), number, now_ms, &mut counts).unwrap();
    assert_eq!(renew(499), Renewal::NotDue);
    assert_eq!(outstanding(1000), 0);
    assert_eq!(renew(500), Renewal::Done);
    assert_eq!((outstanding(1499), outstanding(1500)), (900, 0));
    assert_eq!(renew(1400), Renewal::Done);
    assert_eq!(renew(2400), Renewal::Gone, "its end is not part of a lease");
    table.end(session(1), number, turn(50), 2400, &mut counts).unwrap();
    assert!(conserved(&counts, 0));
    assert_eq!(counts.get(Counter::LateNanoUsd), 50);
}

#[test]
fn leaves_before_an_answer_are_free_so_many_times_and_then_cost_what_they_may_have_cost() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let leave = Booking::Leave { cost: NanoUsd(30), free_before: 2 };
    let mut ended = Vec::new();
    for now_ms in 0..4 {
        let number = reserve(&table, session(1), now_ms, &mut counts, 100).unwrap().number.unwrap();
        ended.push(table.end(session(1), number, leave, now_ms, &mut counts).unwrap());
    }
    assert_eq!(ended, [Ended::Refunded, Ended::Refunded, Ended::Charged, Ended::Charged]);
    let view = table.view(session(1), 4).unwrap().unwrap();
    assert_eq!((view.early_leaves, view.spent, view.outstanding), (2, NanoUsd(60), NanoUsd::ZERO));
    assert_eq!((view.turns, view.last_model), (0, None), "nobody answered");
    assert!(conserved(&counts, 0));
}

#[test]
fn a_leave_after_the_lease_is_counted_or_charged_as_any_other() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    let leave = Booking::Leave { cost: NanoUsd(30), free_before: 1 };
    let numbers = [0, 1].map(|_| reserve(&table, session(1), 0, &mut counts, 100).unwrap().number.unwrap());
    let ended = numbers.map(|number| table.end(session(1), number, leave, 1000, &mut counts).unwrap());
    assert_eq!(ended, [Ended::Refunded, Ended::Charged]);
    assert_eq!((counts.get(Counter::ExpiredNanoUsd), counts.get(Counter::LateNanoUsd)), (200, 30));
    // Of a session that the table does not know, nothing is free.
    assert_eq!(table.end(session(2), 7, leave, 1000, &mut counts), Ok(Ended::Charged));
    assert_eq!(counts.get(Counter::LateNanoUsd), 60);
}

#[test]
fn a_shadow_has_a_table_of_its_own() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let real = SessionTable::new(&store, &config, Namespace::Real);
    let shadow = SessionTable::new(&store, &config, Namespace::Shadow);
    reserve(&shadow, session(1), 0, &mut counts, 10).unwrap();
    assert_eq!(real.view(session(1), 0).unwrap(), None);
    assert_eq!(shadow.view(session(1), 0).unwrap().unwrap().outstanding, NanoUsd(10));
}

#[test]
fn a_broken_bucket_is_an_error_not_a_fresh_budget() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config, Namespace::Real);
    store.compare_and_swap(&table.key(session(1)), b"\x01broken", CREATE).unwrap();
    let result = reserve(&table, session(1), 0, &mut counts, 1);
    assert!(matches!(result, Err(LedgerError::Decode(_))), "{result:?}");
}

/// A store in which another VM acts between a read and its write, a given number of times.
struct Contended<'a> {
    inner: &'a MemoryStore,
    intruders: Cell<u32>,
    intrude: &'a dyn Fn(),
}

impl SharedStore for Contended<'_> {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        let value = self.inner.get(key);
        if let Some(left) = self.intruders.get().checked_sub(1) {
            self.intruders.set(left);
            (self.intrude)();
        }
        value
    }

    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError> {
        self.inner.compare_and_swap(key, value, number)
    }
}

#[test]
fn a_decision_is_made_again_on_the_balance_that_another_worker_left() {
    let (store, config) = (MemoryStore::default(), config());
    let intrude = || {
        let mut counts = Counts::default();
        let table = SessionTable::new(&store, &config, Namespace::Real);
        reserve(&table, session(1), 0, &mut counts, 300).unwrap();
    };
    let contended = Contended { inner: &store, intruders: Cell::new(3), intrude: &intrude };
    let mut counts = Counts::default();
    let table = SessionTable::new(&contended, &config, Namespace::Real);
    let result = reserve(&table, session(1), 0, &mut counts, 300).unwrap();
    assert_eq!(result.number, None, "three others took 900 of 1000");
    assert_eq!(counts.get(Counter::CasConflicts), 3);
}
