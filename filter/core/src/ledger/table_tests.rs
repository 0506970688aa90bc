//! Tests of the session table: single steps, then random interleavings of many VMs with crashes.

use super::*;
use crate::ledger::SettledTurn;
use crate::ledger::store::MemoryStore;
use proptest::prelude::*;
use std::cell::Cell;

const BUDGET: NanoUsd = NanoUsd(1000);

fn config() -> LedgerConfig {
    LedgerConfig {
        buckets: 2,
        sessions_per_bucket: 4,
        lease_ms: 1000,
        session_ttl_ms: 5000,
        ..LedgerConfig::default()
    }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

fn turn(cost: u64) -> Ending {
    Ending::Settle(SettledTurn {
        cost: NanoUsd(cost),
        model: 0,
        prompt_tokens: 10,
        body_bytes: 40,
        output_tokens: 5,
    })
}

/// Takes `amount` if it is available, like the mask does.
fn take(amount: u64) -> impl FnMut(&SessionView) -> Choice<()> {
    move |seen| {
        if seen.available() >= NanoUsd(amount) {
            Choice::Reserve(NanoUsd(amount), ())
        } else {
            Choice::Refuse(())
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
    let table = SessionTable::new(&store, &config);
    let reserved = table.reserve(session(1), BUDGET, 0, &mut counts, take(400)).unwrap();
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().available(), NanoUsd(600));
    table.end(session(1), reserved.reservation.unwrap(), turn(150), 1, &mut counts).unwrap();
    let view = table.view(session(1), 1).unwrap().unwrap();
    assert_eq!((view.spent, view.available(), view.turns), (NanoUsd(150), NanoUsd(850), 1));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_refund_charges_nothing_and_is_no_turn() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    let id = table.reserve(session(1), BUDGET, 0, &mut counts, take(400)).unwrap().reservation.unwrap();
    table.end(session(1), id, Ending::Refund, 1, &mut counts).unwrap();
    let view = table.view(session(1), 1).unwrap().unwrap();
    assert_eq!((view.spent, view.available(), view.turns), (NanoUsd::ZERO, BUDGET, 0));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_reservation_ends_only_once() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    let first = table.reserve(session(1), BUDGET, 0, &mut counts, take(100)).unwrap().reservation.unwrap();
    table.end(session(1), first, Ending::Refund, 0, &mut counts).unwrap();
    let second = table.reserve(session(1), BUDGET, 0, &mut counts, take(200)).unwrap().reservation.unwrap();
    table.end(session(1), first, Ending::Refund, 0, &mut counts).unwrap();
    assert_ne!(first, second);
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().outstanding, NanoUsd(200));
    assert!(conserved(&counts, 200));
}

#[test]
fn a_refusal_of_a_new_session_writes_nothing() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    let refused = table.reserve(session(1), BUDGET, 0, &mut counts, take(1001)).unwrap();
    assert_eq!(refused.reservation, None);
    assert_eq!(table.view(session(1), 0).unwrap(), None);
    assert_eq!(counts, Counts::default());
}

#[test]
fn a_lease_that_ran_out_is_given_back_and_a_late_answer_still_charged() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    let id = table.reserve(session(1), BUDGET, 0, &mut counts, take(900)).unwrap().reservation.unwrap();
    let other = table.reserve(session(1), BUDGET, 1000, &mut counts, take(900)).unwrap();
    assert!(other.reservation.is_some(), "the first lease has ended");
    table.end(session(1), id, turn(50), 1001, &mut counts).unwrap();
    assert_eq!(table.view(session(1), 1001).unwrap().unwrap().spent, NanoUsd(50));
    assert_eq!(counts.get(Counter::LateNanoUsd), 50);
    assert!(conserved(&counts, 900));
}

#[test]
fn a_cost_above_the_reservation_is_charged_and_counted() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    let id = table.reserve(session(1), BUDGET, 0, &mut counts, take(100)).unwrap().reservation.unwrap();
    table.end(session(1), id, turn(130), 0, &mut counts).unwrap();
    assert_eq!(table.view(session(1), 0).unwrap().unwrap().spent, NanoUsd(130));
    assert_eq!((counts.get(Counter::Overruns), counts.get(Counter::OverrunNanoUsd)), (1, 30));
    assert!(conserved(&counts, 0));
}

#[test]
fn a_full_bucket_refuses_a_new_session_and_keeps_the_old() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, ..config() };
    let table = SessionTable::new(&store, &config);
    for number in 0..4 {
        let id =
            table.reserve(session(number), BUDGET, 0, &mut counts, take(10)).unwrap().reservation.unwrap();
        table.end(session(number), id, turn(10), 0, &mut counts).unwrap();
    }
    assert_eq!(table.reserve(session(9), BUDGET, 10, &mut counts, take(10)), Err(LedgerError::Full));
    assert_eq!(table.view(session(0), 10).unwrap().unwrap().spent, NanoUsd(10));
    // Past the TTL the session unseen for longest makes room.
    assert!(table.reserve(session(9), BUDGET, 5000, &mut counts, take(10)).is_ok());
    assert_eq!(counts.get(Counter::SessionsEvicted), 1);
}

#[test]
fn eviction_spares_sessions_with_money_outstanding() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { buckets: 1, on_full: OnFull::EvictIdle, ..config() };
    let table = SessionTable::new(&store, &config);
    for number in 0..4 {
        let id =
            table.reserve(session(number), BUDGET, 0, &mut counts, take(10)).unwrap().reservation.unwrap();
        if number == 3 {
            table.end(session(number), id, turn(10), 0, &mut counts).unwrap();
        }
    }
    assert!(table.reserve(session(8), BUDGET, 10, &mut counts, take(10)).is_ok());
    assert_eq!(table.view(session(3), 10).unwrap(), None, "the only idle one made room");
    assert_eq!(table.reserve(session(9), BUDGET, 10, &mut counts, take(10)), Err(LedgerError::Full));
}

#[test]
fn turns_in_flight_are_bounded() {
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let config = LedgerConfig { max_in_flight: 2, ..config() };
    let table = SessionTable::new(&store, &config);
    table.reserve(session(1), BUDGET, 0, &mut counts, take(1)).unwrap();
    table.reserve(session(1), BUDGET, 0, &mut counts, take(1)).unwrap();
    assert_eq!(table.reserve(session(1), BUDGET, 0, &mut counts, take(1)), Err(LedgerError::TooManyInFlight));
}

#[test]
fn a_broken_bucket_is_an_error_not_a_fresh_budget() {
    let (store, config, mut counts) = (MemoryStore::default(), config(), Counts::default());
    let table = SessionTable::new(&store, &config);
    store.compare_and_swap(&table.key(session(1)), b"\x01broken", CREATE).unwrap();
    let result = table.reserve(session(1), BUDGET, 0, &mut counts, take(1));
    assert!(matches!(result, Err(LedgerError::Bucket(_))), "{result:?}");
}

/// A store in which another VM acts between our read and our write, as often as it is told to.
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
        SessionTable::new(&store, &config).reserve(session(1), BUDGET, 0, &mut counts, take(300)).unwrap();
    };
    let contended = Contended { inner: &store, intruders: Cell::new(3), intrude: &intrude };
    let mut counts = Counts::default();
    let table = SessionTable::new(&contended, &config);
    let result = table.reserve(session(1), BUDGET, 0, &mut counts, take(300)).unwrap();
    assert_eq!(result.reservation, None, "three others took 900 of 1000");
    assert_eq!(counts.get(Counter::CasConflicts), 3);
}

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        session: u8,
        amount: u64,
        intruder: Option<u64>,
    },
    End {
        which: usize,
        cost: Option<u64>,
    },
    /// The VM that holds this reservation dies: nobody ends it.
    Crash {
        which: usize,
    },
    Wait {
        ms: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..3, 1u64..400, proptest::option::of(1u64..400))
            .prop_map(|(session, amount, intruder)| Step::Reserve { session, amount, intruder }),
        4 => (any::<usize>(), proptest::option::of(0u64..500)).prop_map(|(which, cost)| Step::End { which, cost }),
        1 => any::<usize>().prop_map(|which| Step::Crash { which }),
        1 => (1u64..700).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_and_no_budget_is_overspent_in_any_interleaving(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let (store, config) = (MemoryStore::default(), config());
        let counts = std::cell::RefCell::new(Counts::default());
        let in_flight: std::cell::RefCell<Vec<(u8, u64)>> = Default::default();
        let mut now_ms = 0;
        for step in steps {
            match step {
                Step::Reserve { session: number, amount, intruder } => {
                    let other = || {
                        let amount = intruder.unwrap_or(1);
                        let table = SessionTable::new(&store, &config);
                        let mut own = Counts::default();
                        let result = table.reserve(session(number), BUDGET, now_ms, &mut own, take(amount)).unwrap();
                        counts.borrow_mut().merge(&own);
                        in_flight.borrow_mut().extend(result.reservation.map(|id| (number, id)));
                    };
                    let intruders = Cell::new(u32::from(intruder.is_some()));
                    let contended = Contended { inner: &store, intruders, intrude: &other };
                    let mut own = Counts::default();
                    let table = SessionTable::new(&contended, &config);
                    let result = table.reserve(session(number), BUDGET, now_ms, &mut own, take(amount)).unwrap();
                    counts.borrow_mut().merge(&own);
                    in_flight.borrow_mut().extend(result.reservation.map(|id| (number, id)));
                }
                Step::End { which, cost } => {
                    let mut in_flight = in_flight.borrow_mut();
                    if !in_flight.is_empty() {
                        let which = which % in_flight.len();
                        let (number, id) = in_flight.swap_remove(which);
                        let table = SessionTable::new(&store, &config);
                        let ending = cost.map_or(Ending::Refund, turn);
                        table.end(session(number), id, ending, now_ms, &mut counts.borrow_mut()).unwrap();
                    }
                }
                Step::Crash { which } => {
                    let mut in_flight = in_flight.borrow_mut();
                    if !in_flight.is_empty() {
                        let which = which % in_flight.len();
                        in_flight.swap_remove(which);
                    }
                }
                Step::Wait { ms } => now_ms += ms,
            }
            let counts = counts.borrow();
            let mut outstanding = 0;
            let mut spent = 0;
            for number in 0..3 {
                // Stored reservations, expired ones included: an expiry counts once it is written.
                let (bucket, _) = SessionTable::new(&store, &config)
                    .read(&SessionTable::new(&store, &config).key(session(number))).unwrap();
                let Some(entry) = bucket.entries.iter().find(|entry| entry.id == session(number)) else { continue };
                outstanding += entry.view().outstanding.0;
                spent += entry.session.spent.0;
                prop_assert!(entry.view().outstanding.0 <= BUDGET.0);
            }
            prop_assert!(conserved(&counts, outstanding), "{counts:?}, outstanding {outstanding}");
            let excess = counts.get(Counter::OverrunNanoUsd) + counts.get(Counter::LateNanoUsd);
            prop_assert_eq!(spent, counts.get(Counter::SettledNanoUsd) + excess);
            prop_assert!(spent <= 3 * BUDGET.0 + excess);
        }
    }
}
