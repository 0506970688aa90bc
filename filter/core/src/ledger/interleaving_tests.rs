//! Many VMs on one store, in any order that a seed produces.
//!
//! A step is **one** call to shared data by one VM: between any two steps another VM may act, a VM may die, the clock
//! may jump forwards or backwards, and any call may fail. To stop an operation between two of its calls it is run again
//! from its start with the answers that it got before, makes one call more, and is stopped at the next; operations are
//! pure but for those calls, so this is exact. After every step both levels must conserve money to the last nano-USD,
//! and no budget may be overspent but by what settlements cost beyond their reservations.
//!
//! A failure prints the seed of its schedule; `SEQROUTE_SCHEDULE=<seed>` runs that one alone, and
//! `SEQROUTE_SCHEDULES=<count>` sets their number.

use super::*;
use crate::config::OnFull;
use crate::counters::Counter;
use crate::ledger::sessions::bucket::SessionBucket;
use crate::ledger::store::{MemoryStore, StoreError, Swap, Versioned};
use crate::ledger::table::Stored;
use crate::ledger::tenants::bucket::TenantBucket;
use crate::ledger::view::SettledTurn;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::{Cell, RefCell};

const SCHEDULES: u64 = 10_000;
const STEPS: usize = 80;
const VMS: usize = 4;
const SESSIONS: u8 = 3;
const BUDGET: NanoUsd = NanoUsd(1000);
const TENANT_BUDGET: NanoUsd = NanoUsd(1500);
const LEASE_MS: u64 = 1000;
const STOPPED: u32 = u32::MAX;

#[derive(Clone, Debug)]
enum Reply {
    Value(Option<Versioned>),
    Swap(Swap),
    Failed,
}

/// Gives the known replies, makes one call more, and then fails, which stops the operation.
struct OneMoreCall<'a> {
    store: &'a MemoryStore,
    known: RefCell<Vec<Reply>>,
    next: Cell<usize>,
    may_call: Cell<bool>,
    /// The call that is made fails.
    fails: bool,
    stopped: Cell<bool>,
}

impl OneMoreCall<'_> {
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

/// What a VM is doing.
#[derive(Debug)]
enum Job {
    /// Takes the first of these amounts that is free, like a ladder of models.
    Reserve {
        session: Option<u8>,
        amounts: [u64; 2],
    },
    End {
        holding: Holding,
        cost: Option<u64>,
    },
}

struct Running {
    job: Job,
    now_ms: u64,
    replies: Vec<Reply>,
    /// What it has moved so far.
    counts: Counts,
}

struct World {
    store: MemoryStore,
    ledger: LedgerConfig,
    tenants: TenantConfig,
    now_ms: u64,
    vms: Vec<Option<Running>>,
    /// Turns that were granted and not ended yet.
    in_flight: Vec<Holding>,
    /// What operations that are over, or died, have moved.
    counts: Counts,
}

/// A bucket as it is stored, leases that have ended included.
fn stored<V: Stored>(store: &MemoryStore, key: &str) -> V {
    store.get(key).unwrap().map_or_else(V::default, |(bytes, _)| V::from_bytes(&bytes).unwrap())
}

fn tenant() -> Tenant {
    Tenant { id: SessionId([200; 16]), budget: TENANT_BUDGET }
}

/// The holding of an operation that is run again from its start.
fn again(holding: &Holding) -> Holding {
    let lease = |lease: &TenantLease| TenantLease { ..*lease };
    Holding { session: holding.session, tenant: holding.tenant.as_ref().map(lease) }
}

/// Holds the first of these amounts that is free, and decides again while other VMs are faster.
fn reserve<S: SharedStore>(
    ledger: &Ledger<'_, S>,
    payer: &Payer,
    amounts: &[u64],
    now_ms: u64,
    counts: &mut Counts,
) -> Result<Option<Holding>, LedgerError> {
    loop {
        let open = ledger.open(payer, now_ms, counts)?;
        let mut amounts = amounts.iter().copied().map(NanoUsd);
        let Some(amount) = amounts.find(|amount| *amount <= open.view.available()) else {
            return open.leave(counts).map(|()| None);
        };
        if let Some(holding) = open.hold(amount, counts)? {
            return Ok(Some(holding));
        }
    }
}

impl World {
    fn new(rng: &mut impl Rng) -> World {
        let on_full = if rng.random() { OnFull::EvictIdle } else { OnFull::Reject };
        World {
            store: MemoryStore::default(),
            ledger: LedgerConfig {
                buckets: 1,
                sessions_per_bucket: 2,
                reservations_per_bucket: 8,
                evicted_per_bucket: 4,
                lease_ms: LEASE_MS,
                session_ttl_ms: 1 << 40,
                max_in_flight: 4,
                on_full,
            },
            tenants: serde_json::from_str(r#"{"default_usd": "1", "buckets": 1}"#).unwrap(),
            now_ms: 1 << 41,
            vms: (0..VMS).map(|_| None).collect(),
            in_flight: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn step(&mut self, rng: &mut impl Rng) {
        match rng.random_range(0..40) {
            0 => self.crash(rng.random_range(0..VMS)),
            1 => self.now_ms += rng.random_range(1..3 * LEASE_MS),
            2 => self.now_ms -= rng.random_range(1..3 * LEASE_MS),
            3 if !self.in_flight.is_empty() => {
                // The VM that holds this turn dies and never ends it.
                let which = rng.random_range(0..self.in_flight.len());
                let _ = self.in_flight.swap_remove(which);
            }
            _ => {
                let vm = rng.random_range(0..VMS);
                if self.vms[vm].is_none() {
                    self.vms[vm] = self.next_job(rng);
                }
                self.advance(vm, rng.random_ratio(1, 50));
            }
        }
    }

    fn next_job(&mut self, rng: &mut impl Rng) -> Option<Running> {
        let job = if !self.in_flight.is_empty() && rng.random_bool(0.5) {
            let which = rng.random_range(0..self.in_flight.len());
            let holding = self.in_flight.swap_remove(which);
            let cost = rng.random_bool(0.7).then(|| rng.random_range(0..400));
            Job::End { holding, cost }
        } else {
            let session = rng.random_bool(0.9).then(|| rng.random_range(0..SESSIONS));
            Job::Reserve { session, amounts: [rng.random_range(200..700), rng.random_range(1..200)] }
        };
        Some(Running { job, now_ms: self.now_ms, replies: Vec::new(), counts: Counts::default() })
    }

    /// Lets a VM make its next call.
    fn advance(&mut self, vm: usize, fails: bool) {
        let Some(mut running) = self.vms[vm].take() else { return };
        let store = OneMoreCall {
            store: &self.store,
            known: RefCell::new(std::mem::take(&mut running.replies)),
            next: Cell::new(0),
            may_call: Cell::new(true),
            fails,
            stopped: Cell::new(false),
        };
        let ledger = Ledger::new(&store, &self.ledger, Some(&self.tenants), Namespace::Real);
        let mut counts = Counts::default();
        let now_ms = running.now_ms;
        let result = match &running.job {
            Job::Reserve { session, amounts } => {
                let session = session.map(|number| SessionId([number; 16]));
                let payer = Payer { session, budget_if_new: BUDGET, tenant: Some(tenant()) };
                // Nothing is in flight for a decision that was stopped or failed.
                let held = reserve(&ledger, &payer, amounts, now_ms, &mut counts);
                held.map(|holding| self.in_flight.extend(holding))
            }
            Job::End { holding, cost } => {
                let ending = cost.map_or(Ending::Refund, |cost| {
                    let cost = NanoUsd(cost);
                    Ending::Settle(SettledTurn {
                        cost,
                        model: 0,
                        prompt_tokens: 1,
                        body_bytes: 4,
                        output_tokens: 1,
                    })
                });
                ledger.end(again(holding), ending, now_ms, &mut counts)
            }
        };
        if store.stopped.get() {
            running.replies = store.known.into_inner();
            running.counts = counts;
            self.vms[vm] = Some(running);
            return;
        }
        self.counts.merge(&counts);
        match result {
            Ok(()) | Err(LedgerError::Store(_) | LedgerError::Full | LedgerError::TooManyInFlight) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// A VM dies between two of its calls: what it has written stays, but it cannot end what it held.
    fn crash(&mut self, vm: usize) {
        if let Some(running) = self.vms[vm].take() {
            self.counts.merge(&running.counts);
        }
    }

    fn counted(&self) -> Counts {
        let mut counts = self.counts.clone();
        self.vms.iter().flatten().for_each(|running| counts.merge(&running.counts));
        counts
    }

    fn bucket(&self) -> SessionBucket {
        let table = SessionTable::new(&self.store, &self.ledger, Namespace::Real);
        stored(&self.store, &table.key(SessionId([0; 16])))
    }

    fn tenant_bucket(&self) -> TenantBucket {
        let table = TenantTable::new(&self.store, &self.tenants, LEASE_MS, Namespace::Real);
        stored(&self.store, &table.key(tenant().id))
    }

    fn outstanding(&self) -> u64 {
        self.bucket().entries.iter().map(|entry| entry.view(self.now_ms).outstanding.0).sum()
    }

    /// What must hold after every step.
    fn check(&self) {
        use Counter::*;
        let counts = self.counted();
        let [granted, settled, refunded, expired, overrun, late] =
            [GrantedNanoUsd, SettledNanoUsd, RefundedNanoUsd, ExpiredNanoUsd, OverrunNanoUsd, LateNanoUsd]
                .map(|counter| counts.get(counter));
        let bucket = self.bucket();
        assert_eq!(granted, settled + refunded + expired + self.outstanding(), "sessions: {counts:?}");
        let spent: u64 = bucket.entries.iter().map(|entry| entry.session.spent.0).sum();
        let evicted: u64 = bucket.evicted.iter().map(|evicted| evicted.spent.0).sum();
        // A late cost of a session that the table has forgotten is counted, but belongs to no entry.
        assert!(spent + evicted <= settled + overrun + late, "{counts:?}");
        assert!(spent + evicted >= settled + overrun, "{counts:?}");
        for entry in &bucket.entries {
            let view = entry.view(self.now_ms);
            assert!(view.spent.0 + view.outstanding.0 <= BUDGET.0 + overrun + late, "{view:?}");
        }
        let [granted, settled, refunded, expired, overrun] = [
            TenantGrantedNanoUsd,
            TenantSettledNanoUsd,
            TenantRefundedNanoUsd,
            TenantExpiredNanoUsd,
            TenantOverrunNanoUsd,
        ]
        .map(|counter| counts.get(counter));
        let (held, spent) = (self.tenant_bucket().held().0, self.tenant_bucket().spent().0);
        assert_eq!(granted, settled + refunded + expired + held, "tenants: {counts:?}");
        assert_eq!(spent, settled + overrun, "tenants: {counts:?}");
        assert!(spent + held <= TENANT_BUDGET.0 + overrun, "tenants: {spent} + {held}");
    }

    /// Lets all VMs finish, touches both tables, waits one lease, and touches them again.
    fn settle_down(&mut self) {
        for vm in 0..VMS {
            while self.vms[vm].is_some() {
                self.advance(vm, false);
                self.check();
            }
        }
        self.in_flight.clear();
        // The first touch cuts leases that were made before the clock was set back.
        self.touch();
        self.now_ms += LEASE_MS + 2 * LEASE_MS.div_ceil(8);
        self.touch();
        self.check();
    }

    fn touch(&mut self) {
        for session in [None, Some(0)] {
            let job = Job::Reserve { session, amounts: [0, 0] };
            let (replies, counts) = (Vec::new(), Counts::default());
            self.vms[0] = Some(Running { job, now_ms: self.now_ms, replies, counts });
            while self.vms[0].is_some() {
                self.advance(0, false);
            }
        }
    }
}

fn run(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::new(&mut rng);
    for _ in 0..STEPS {
        world.step(&mut rng);
        world.check();
    }
    world.settle_down();
    assert_eq!((world.outstanding(), world.tenant_bucket().held().0), (0, 0), "after one lease");
}

#[test]
fn money_is_conserved_on_both_levels_in_any_interleaving_of_calls_crashes_and_clocks() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEQROUTE_SCHEDULE") {
        return run(seed);
    }
    for seed in 0..number("SEQROUTE_SCHEDULES").unwrap_or(SCHEDULES) {
        if let Err(failure) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!(
                "this schedule alone: SEQROUTE_SCHEDULE={seed} cargo test --release -p seqroute-core interleaving"
            );
            std::panic::resume_unwind(failure);
        }
    }
}
