//! Many VMs on one store, in any order that a seed produces.
//!
//! A step is **one** call to shared data by one VM: between any two steps another VM may act, a VM may die, the clock
//! may jump forwards or backwards, and any call may fail ([`OneMoreCall`]; operations are pure but for their calls, so
//! running them again is exact). After every step both levels must conserve money to the last nano-USD,
//! no budget may be overspent but by what settlements cost beyond their reservations, no session may exist that its
//! caller has not claimed, and no owner may have more of a bucket than its half.
//!
//! A failure prints the seed of its schedule; `SEQROUTE_SCHEDULE=<seed>` runs that one alone, and
//! `SEQROUTE_SCHEDULES=<count>` sets their number.

use super::*;
use crate::config::tests::changed_example;
use crate::counters::Counter;
use crate::ledger::callers::CallerBucket;
use crate::ledger::one_more_call::{OneMoreCall, Reply};
use crate::ledger::sessions::bucket::SessionBucket;
use crate::ledger::store::MemoryStore;
use crate::ledger::table::Stored;
use crate::ledger::tenants::bucket::TenantBucket;
use crate::ledger::view::SettledTurn;
use crate::request::caller::Network;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const SCHEDULES: u64 = 10_000;
const STEPS: usize = 80;
const VMS: usize = 4;
/// Sessions, of which the first caller has twice as many as the second.
const SESSIONS: u8 = 6;
const CALLERS: u8 = 2;
const SESSIONS_PER_BUCKET: u32 = 4;
const RESERVATIONS_PER_BUCKET: u32 = 8;
const BUDGET: NanoUsd = NanoUsd(1000);
const TENANT_BUDGET: NanoUsd = NanoUsd(1500);
const LEASE_MS: u64 = 1000;

/// What a VM is doing.
#[derive(Debug)]
enum Job {
    /// Takes the first of these amounts that is free, like a ladder of models.
    Reserve {
        session: Option<u8>,
        caller: Caller,
        amounts: [u64; 2],
    },
    Renew {
        holding: Holding,
    },
    Raise {
        holding: Holding,
        more: u64,
    },
    End {
        holding: Holding,
        ending: Ending,
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
    config: Config,
    now_ms: u64,
    vms: Vec<Option<Running>>,
    /// Turns that were granted and not ended yet.
    in_flight: Vec<Holding>,
    /// What operations that are over, or died, have moved.
    counts: Counts,
    /// Sessions are begun that nobody claims.
    is_over: bool,
}

/// A bucket as it is stored, leases that have ended included.
fn stored<V: Stored>(store: &MemoryStore, key: &str) -> V {
    store.get(key).unwrap().map_or_else(V::default, |(bytes, _)| V::from_bytes(&bytes).unwrap())
}

fn tenant() -> Tenant {
    Tenant { id: SessionId([200; 16]), budget: TENANT_BUDGET, has_place: true }
}

fn caller(number: u8) -> Caller {
    Caller::Address(Network::V4([number; 4]))
}

/// How a turn ends: answered, failed, or left by its client.
fn ending(rng: &mut impl Rng) -> Ending {
    let turn = SettledTurn { cost: NanoUsd(rng.random_range(0..400)), ..SettledTurn::default() };
    match rng.random_range(0..10) {
        0..6 => Ending::Settle(turn),
        6..8 => Ending::Refund,
        _ => Ending::Left(turn),
    }
}

/// The holding of an operation that is run again from its start.
fn again(holding: &Holding) -> Holding {
    let lease = |lease: &TenantLease| TenantLease { ..*lease };
    Holding {
        session: holding.session,
        conversation: holding.conversation,
        tenant: holding.tenant.as_ref().map(lease),
    }
}

/// Holds the first of these amounts that is free, and decides again while other VMs are faster.
fn reserve<S: SharedStore>(
    ledger: &Ledger<'_, S>,
    payer: &Payer<'_>,
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
        let on_full = if rng.random() { "evict_idle" } else { "reject" };
        let new_sessions = rng.random_range(2..20);
        let config = changed_example(|v| {
            v["ledger"] = json!({
                "buckets": 1, "sessions_per_bucket": SESSIONS_PER_BUCKET,
                "reservations_per_bucket": RESERVATIONS_PER_BUCKET, "evicted_per_bucket": 4, "lease_ms": LEASE_MS,
                "session_ttl_ms": 1_u64 << 40, "short_session_ttl_ms": 1_u64 << 40, "max_in_flight": 4,
                "on_full": on_full, "free_early_leaves": 1,
            });
            v["callers"] = json!({"buckets": 1, "new_sessions": new_sessions, "window_ms": 1_u64 << 40});
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"default_usd": "1", "buckets": 1, "free_early_leaves": 3});
        });
        World {
            store: MemoryStore::default(),
            config,
            now_ms: 3 << 39,
            vms: (0..VMS).map(|_| None).collect(),
            in_flight: Vec::new(),
            counts: Counts::default(),
            is_over: false,
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
        let job = if !self.in_flight.is_empty() && rng.random_bool(0.6) {
            let which = rng.random_range(0..self.in_flight.len());
            let holding = self.in_flight.swap_remove(which);
            match rng.random_range(0..10) {
                0..2 => Job::Renew { holding },
                2..4 => Job::Raise { holding, more: rng.random_range(0..300) },
                _ => Job::End { holding, ending: ending(rng) },
            }
        } else {
            let session = rng.random_bool(0.9).then(|| rng.random_range(0..SESSIONS));
            let caller = caller(session.map_or_else(|| rng.random_range(0..CALLERS), |number| number / 4));
            Job::Reserve { session, caller, amounts: [rng.random_range(200..700), rng.random_range(1..200)] }
        };
        Some(Running { job, now_ms: self.now_ms, replies: Vec::new(), counts: Counts::default() })
    }

    /// Lets a VM make its next call.
    fn advance(&mut self, vm: usize, fails: bool) {
        let Some(mut running) = self.vms[vm].take() else { return };
        let known = std::mem::take(&mut running.replies);
        let store = OneMoreCall::new(&self.store, known, fails);
        let ledger = Ledger::new(&store, &self.config, Namespace::Real);
        let mut counts = Counts::default();
        let now_ms = running.now_ms;
        let result = match &running.job {
            Job::Reserve { session, caller, amounts } => {
                let session = session.map(|number| SessionId([number; 16]));
                let payer = Payer {
                    session,
                    conversation: Conversation::default(),
                    budget_if_new: BUDGET,
                    tenant: Some(tenant()),
                    caller,
                };
                // Nothing is in flight for a decision that was stopped or failed.
                let held = reserve(&ledger, &payer, amounts, now_ms, &mut counts);
                held.map(|holding| self.in_flight.extend(holding))
            }
            Job::Renew { holding } => {
                let mut holding = again(holding);
                let renewed = ledger.renew(&mut holding, now_ms, &mut counts);
                if !store.has_stopped() {
                    self.in_flight.push(holding);
                }
                renewed.map(|_| ())
            }
            Job::Raise { holding, more } => {
                let mut holding = again(holding);
                let raised = ledger.raise(&mut holding, NanoUsd(*more), now_ms, &mut counts);
                if !store.has_stopped() {
                    self.in_flight.push(holding);
                }
                raised.map(|_| ())
            }
            Job::End { holding, ending } => {
                ledger.end(again(holding), *ending, now_ms, &mut counts).map(|_| ())
            }
        };
        if store.has_stopped() {
            running.replies = store.into_replies();
            running.counts = counts;
            self.vms[vm] = Some(running);
            return;
        }
        self.counts.merge(&counts);
        match result {
            Ok(())
            | Err(
                LedgerError::Store(_)
                | LedgerError::Full
                | LedgerError::TooManyInFlight
                | LedgerError::TooManyNewSessions { .. },
            ) => {}
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
        let table = SessionTable::new(&self.store, &self.config.ledger, Namespace::Real);
        stored(&self.store, &table.key(SessionId([0; 16])))
    }

    fn tenant_bucket(&self) -> TenantBucket {
        let tenants = self.config.tenants.as_ref().unwrap();
        let table = TenantTable::new(&self.store, tenants, LEASE_MS, Namespace::Real);
        stored(&self.store, &table.key(tenant().id))
    }

    /// What each caller has claimed.
    fn claims(&self) -> Vec<u32> {
        let table = CallerTable::new(&self.store, &self.config.callers, Namespace::Real);
        let ids = (0..CALLERS).map(|number| caller(number).id(self.config.salt.as_bytes()));
        ids.map(|id| stored::<CallerBucket>(&self.store, &table.key(id)).count(id)).collect()
    }

    fn outstanding(&self) -> u64 {
        self.bucket().entries.iter().map(|entry| entry.last_view(self.now_ms).outstanding.0).sum()
    }

    /// What must hold after every step.
    fn check(&self) {
        self.check_money();
        self.check_shares();
    }

    fn check_shares(&self) {
        let (claims, created) = (self.claims(), self.counted().get(Counter::SessionsCreated));
        let claimed: u32 = claims.iter().sum();
        assert!(self.is_over || created <= u64::from(claimed), "{created} sessions of {claimed} claimed");
        assert!(claims.iter().all(|count| *count <= self.config.callers.new_sessions), "{claims:?}");
        let entries = self.bucket().entries;
        for entry in &entries {
            let own = || entries.iter().filter(|other| other.owner == entry.owner);
            let turns: usize = own().map(|entry| entry.reservations.len()).sum();
            let busy = own().filter(|entry| !entry.reservations.is_empty()).count();
            assert!(turns as u32 <= RESERVATIONS_PER_BUCKET / 2, "{turns} turns of {:?}", entry.owner);
            assert!(busy as u32 <= SESSIONS_PER_BUCKET / 2, "{busy} busy sessions of {:?}", entry.owner);
        }
    }

    fn check_money(&self) {
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
            let view = entry.last_view(self.now_ms);
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
        self.is_over = true;
        // The first touch cuts leases that were made before the clock was set back.
        self.touch();
        self.now_ms += LEASE_MS + 2 * LEASE_MS.div_ceil(8);
        self.touch();
        self.check();
    }

    fn touch(&mut self) {
        for session in [None, Some(0)] {
            let caller = Caller::Tenant(tenant().id);
            let job = Job::Reserve { session, caller, amounts: [0, 0] };
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
    (0..STEPS).for_each(|_| {
        world.step(&mut rng);
        world.check();
    });
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
            eprintln!("this schedule alone: SEQROUTE_SCHEDULE={seed}");
            std::panic::resume_unwind(failure);
        }
    }
}
