//! Tests of the tenants' level, step by step. `interleaving_tests.rs` runs many VMs against both levels.

use super::*;
use crate::ledger::size::max_tenant_bytes;
use crate::ledger::store::MemoryStore;
use crate::ledger::view::SettledTurn;
use crate::request::session_id::SessionId;

const LEASE_MS: u64 = 1000;

fn config() -> TenantConfig {
    let json = r#"{"default_usd": "1", "default_per_name": true, "buckets": 1, "tenants_per_bucket": 2}"#;
    serde_json::from_str(json).unwrap()
}

fn tenant(number: u8) -> Tenant {
    Tenant { id: SessionId([number; 16]), budget: NanoUsd(1000), has_place: number >= 100 }
}

fn settle(cost: u64) -> Booking {
    let cost = NanoUsd(cost);
    Booking::Settle(SettledTurn {
        cost,
        model: 0,
        prompt_tokens: 1,
        body_bytes: 4,
        warm_tokens: 0,
        output_tokens: 1,
    })
}

struct World {
    store: MemoryStore,
    config: TenantConfig,
    counts: Counts,
}

impl World {
    fn new(config: TenantConfig) -> World {
        World { store: MemoryStore::default(), config, counts: Counts::default() }
    }

    fn hold(&mut self, number: u8, amount: u64, now_ms: u64) -> Result<Option<TenantLease>, LedgerError> {
        let table = TenantTable::new(&self.store, &self.config, LEASE_MS, Namespace::Real);
        let opened = table.open(tenant(number), now_ms)?;
        table.hold(opened, NanoUsd(amount), now_ms, &mut self.counts)
    }

    fn end(&mut self, hold: TenantLease, booking: Booking, now_ms: u64) {
        let table = TenantTable::new(&self.store, &self.config, LEASE_MS, Namespace::Real);
        table.end(hold, booking, now_ms, &mut self.counts).unwrap();
    }

    fn available(&self, number: u8, now_ms: u64) -> u64 {
        let table = TenantTable::new(&self.store, &self.config, LEASE_MS, Namespace::Real);
        table.open(tenant(number), now_ms).unwrap().available.0
    }

    fn counted(&self) -> [u64; 4] {
        let counters = [
            Counter::TenantGrantedNanoUsd,
            Counter::TenantSettledNanoUsd,
            Counter::TenantRefundedNanoUsd,
            Counter::TenantExpiredNanoUsd,
        ];
        counters.map(|counter| self.counts.get(counter))
    }
}

#[test]
fn turns_of_many_sessions_share_one_budget() {
    let mut world = World::new(config());
    let first = world.hold(1, 600, 0).unwrap().unwrap();
    assert_eq!(world.hold(1, 600, 0), Ok(None));
    world.end(first, settle(150), 10);
    assert_eq!(world.available(1, 10), 850);
    let second = world.hold(1, 600, 10).unwrap().unwrap();
    world.end(second, Booking::Refund, 20);
    assert_eq!((world.available(1, 20), world.available(2, 20)), (850, 1000));
    assert_eq!(world.counted(), [1200, 150, 1050, 0]);
}

#[test]
fn the_money_of_an_abandoned_lease_comes_back_and_a_late_turn_is_still_charged() {
    let mut world = World::new(config());
    let lost = world.hold(1, 600, 0).unwrap().unwrap();
    assert_eq!(world.available(1, LEASE_MS - 1), 400);
    // A lease lives for one lease and at most an eighth of one more.
    assert_eq!(world.available(1, LEASE_MS + LEASE_MS / 8), 1000);
    world.end(lost, settle(100), 2000);
    assert_eq!(world.available(1, 2000), 900);
    assert_eq!(world.counted(), [600, 0, 0, 600]);
    assert_eq!(world.counts.get(Counter::TenantOverrunNanoUsd), 100);
}

#[test]
fn a_clock_set_back_does_not_move_a_turn_into_another_lease() {
    let mut world = World::new(config());
    let old = world.hold(1, 300, 0).unwrap().unwrap();
    assert_eq!(world.available(1, 5000), 1000);
    let other = world.hold(1, 10, 5000).unwrap().unwrap();
    world.end(other, Booking::Refund, 5000);
    let new = world.hold(1, 400, 0).unwrap().unwrap();
    world.end(old, Booking::Refund, 1);
    assert_eq!(world.available(1, 1), 600);
    world.end(new, Booking::Refund, 1);
    assert_eq!(world.available(1, 1), 1000);
    assert_eq!(world.counted(), [710, 0, 410, 300]);
}

#[test]
fn a_window_that_has_passed_begins_anew() {
    let mut world = World::new(TenantConfig { window_ms: Some(10_000), ..config() });
    let hold = world.hold(1, 1000, 9_000).unwrap().unwrap();
    world.end(hold, settle(1000), 9_500);
    assert_eq!((world.available(1, 9_999), world.available(1, 10_000)), (0, 1000));
    // A turn that ends in the next window is charged there.
    let hold = world.hold(1, 700, 19_900).unwrap().unwrap();
    world.end(hold, settle(700), 20_100);
    assert_eq!(world.available(1, 20_100), 300);
}

#[test]
fn a_full_bucket_refuses_new_tenants_and_keeps_those_that_have_spent() {
    let mut world = World::new(config());
    for number in [1, 2] {
        let hold = world.hold(number, 10, 0).unwrap().unwrap();
        world.end(hold, settle(10), 0);
    }
    assert_eq!(world.hold(3, 10, 10), Err(LedgerError::Full));
    assert_eq!(world.available(1, 10), 990);
    let late_ms = world.config.ttl_ms;
    assert!(world.hold(3, 10, late_ms).unwrap().is_some());
}

#[test]
fn a_configured_tenant_has_its_place_whatever_names_others_invent() {
    let mut world = World::new(config());
    for number in [1, 2] {
        let hold = world.hold(number, 10, 0).unwrap().unwrap();
        world.end(hold, settle(10), 0);
    }
    assert_eq!(world.hold(3, 10, 0), Err(LedgerError::Full));
    for number in 100..150 {
        let hold = world.hold(number, 10, 0).unwrap().unwrap();
        world.end(hold, settle(10), 0);
        assert_eq!(world.available(number, 0), 990);
    }
    assert_eq!((world.available(1, 0), world.hold(3, 10, 0)), (990, Err(LedgerError::Full)));
}

#[test]
fn a_renewed_share_moves_to_a_later_lease_and_leaves_the_others_of_its_own() {
    let mut world = World::new(config());
    let mut renewed = world.hold(1, 300, 0).unwrap().unwrap();
    let abandoned = world.hold(1, 200, 0).unwrap().unwrap();
    let (table, mut counts) =
        (TenantTable::new(&world.store, &world.config, LEASE_MS, Namespace::Real), Counts::default());
    let mut renewal = |share: &mut TenantLease, now_ms| table.renew(share, now_ms, &mut counts).unwrap();
    assert_eq!(renewal(&mut renewed, 374), Renewal::NotDue);
    assert_eq!(renewal(&mut renewed, 500), Renewal::Done);
    assert_ne!(renewed.lease, abandoned.lease);
    assert_eq!(table.open(tenant(1), 1200).unwrap().available.0, 700);
    assert_eq!(renewal(&mut renewed, 1300), Renewal::Done);
    world.counts.merge(&counts);
    world.end(renewed, settle(300), 2200);
    assert_eq!(world.available(1, 2200), 700);
    assert_eq!(world.counted(), [500, 300, 0, 200]);
}

#[test]
fn leases_that_a_clock_set_back_has_cut_refuse_nobody() {
    let mut world = World::new(config());
    let most = world.config.clone();
    for now_ms in (0..4000).step_by(125) {
        let _ = world.hold(1, 1, 100_000 + now_ms).unwrap().unwrap();
    }
    for now_ms in 0..4000 {
        assert!(world.hold(1, 0, now_ms).unwrap().is_some(), "{now_ms}");
        let (bytes, _) = world.store.get("seqroute/tenants/1/0").unwrap().unwrap();
        assert!(bytes.len() as u64 <= max_tenant_bytes(&most));
    }
    assert_eq!(world.available(1, 8000), 1000);
}

#[test]
fn leaves_of_a_tenant_are_free_so_many_times_in_a_window() {
    let mut world = World::new(TenantConfig { window_ms: Some(10_000), ..config() });
    let leave = Booking::Leave { cost: NanoUsd(30), free_before: 1 };
    let ended = [0, 1, 10_000].map(|now_ms| {
        let hold = world.hold(1, 100, now_ms).unwrap().unwrap();
        let table = TenantTable::new(&world.store, &world.config, LEASE_MS, Namespace::Real);
        table.end(hold, leave, now_ms, &mut world.counts).unwrap()
    });
    assert_eq!(ended, [Ended::Refunded, Ended::Charged, Ended::Refunded]);
    assert_eq!(world.counted(), [300, 30, 270, 0]);
}

#[test]
fn a_straggler_of_the_last_window_does_not_begin_the_present_one_anew() {
    let mut world = World::new(TenantConfig { window_ms: Some(10_000), ..config() });
    let hold = world.hold(1, 700, 10_000).unwrap().unwrap();
    world.end(hold, settle(700), 10_001);
    assert_eq!(world.available(1, 9_999), 300);
}

#[test]
fn a_tenants_bytes_are_bounded_however_many_turns_it_has_in_flight() {
    let mut world = World::new(config());
    for now_ms in 0..3000 {
        let _ = world.hold(1, 0, now_ms).unwrap().unwrap();
    }
    let (bytes, _) = world.store.get("seqroute/tenants/1/0").unwrap().unwrap();
    let most = max_tenant_bytes(&config());
    assert!(bytes.len() as u64 <= most, "{} of {most}", bytes.len());
}
