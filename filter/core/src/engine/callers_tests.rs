//! Tests of what bounds a client above its sessions: callers, tenants, and leases of long answers.

use super::tests::{World, body, head, usage};
use super::*;
use crate::body::facts::BodyFacts;
use crate::config::tests::changed_example;
use crate::counters::{Counter, Counts};
use crate::ledger::holding::{Ledger, Payer};
use crate::ledger::store::{MemoryStore, SharedStore, StoreError, Swap, Versioned};
use crate::ledger::{Ended, Ending, Namespace, SettledTurn};
use crate::request::caller::{Caller, Network};
use crate::request::conversation::Conversation;
use crate::request::head::RequestHead;
use crate::request::identity::Identity;
use serde_json::{Value, json};
use std::cell::Cell;

/// Envoy's text of a client's address.
const HOME: &str = "10.0.0.1:5000";

fn request(world: &World, headers: &[(&str, &str)], source: &str) -> RequestHead {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    let identity = Identity::read(world.engine.config(), &headers, Some(source.as_bytes()));
    RequestHead { identity, ..head(&world.engine) }
}

/// The reason of a refusal; `None` where the request was routed.
fn refused(world: &mut World, headers: &[(&str, &str)], source: &str, now_ms: u64) -> Option<String> {
    let head = request(world, headers, source);
    match world.engine.admit(&world.store, &head, Some(&body()), Some(400), now_ms, &mut world.counts) {
        Admission::Route(turn) => {
            let answer =
                Answer { status: Some(200), usage: usage(9, 2), is_final: true, ..Answer::default() };
            world.engine.conclude(&world.store, *turn, &answer, now_ms, &mut world.counts);
            None
        }
        Admission::Refuse(turn, _) => Some(turn.record().reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn few_sessions(v: &mut Value) {
    v["callers"] = json!({"new_sessions": 5});
}

#[test]
fn an_address_that_changes_its_id_or_sends_none_gets_no_new_budget_for_ever() {
    let long = "x".repeat(256);
    let by_number: [&dyn Fn(usize) -> Vec<String>; 3] =
        [&|k| vec![format!("chat-{k}")], &|_| Vec::new(), &|_| vec![long.clone()]];
    for ids in by_number {
        let mut world = World::new(few_sessions);
        let mut of = |k: usize, source: &str, now_ms| {
            let id = ids(k);
            let headers: Vec<_> = id.iter().map(|id| ("x-session-id", id.as_str())).collect();
            refused(&mut world, &headers, source, now_ms)
        };
        let served = (0..50).filter(|k| of(*k, &format!("10.0.0.1:{}", 1000 + k), 0).is_none()).count();
        assert_eq!(served, 5);
        assert_eq!(of(50, HOME, 0).as_deref(), Some("too_many_new_sessions"));
        assert_eq!(of(51, "10.0.0.2:1", 0), None, "another address");
        assert_eq!(of(52, HOME, 3_600_000), None, "the next window");
    }
}

#[test]
fn a_session_that_has_begun_goes_on_when_its_caller_may_begin_no_more() {
    let mut world = World::new(few_sessions);
    for k in 0..5 {
        assert_eq!(refused(&mut world, &[("x-session-id", &format!("chat-{k}"))], HOME, 0), None);
    }
    for k in 0..10 {
        let id = format!("chat-{}", k % 5);
        assert_eq!(refused(&mut world, &[("x-session-id", &id)], HOME, 1), None);
    }
    assert_eq!(world.counts.get(Counter::SessionsCreated), 5);
    assert!(refused(&mut world, &[("x-session-id", "chat-5")], HOME, 1).is_some());
    assert_eq!(world.counts.get(Counter::TooManyNewSessions), 1);
}

#[test]
fn callers_can_be_left_uncounted() {
    let mut world = World::new(|v| v["callers"] = json!({"enabled": false, "new_sessions": 1}));
    assert!((0..20).all(|k| refused(&mut world, &[("x-session-id", &k.to_string())], HOME, 0).is_none()));
    assert_eq!(world.store.get("seqroute/callers/1024/0"), Ok(None));
}

/// A tenant that the configuration names, and perhaps a purse for others.
fn teams(v: &mut Value, default: Value) {
    few_sessions(v);
    v["session"] = json!({"tenant_header": "x-team"});
    v["tenants"] = json!({"budgets_usd": {"gold": "1"}, "buckets": 1, "tenants_per_bucket": 2});
    v["tenants"].as_object_mut().unwrap().extend(default.as_object().unwrap().clone());
}

#[test]
fn a_name_without_a_budget_is_refused() {
    let mut world = World::new(|v| teams(v, json!({})));
    for headers in [&[("x-team", "invented")][..], &[], &[("x-team", "GOLD")]] {
        assert_eq!(refused(&mut world, headers, HOME, 0).as_deref(), Some("tenant_unknown"));
    }
    assert_eq!(refused(&mut world, &[("x-team", "gold")], HOME, 0), None);
    assert_eq!(world.counts.get(Counter::TenantUnknown), 3);
}

#[test]
fn a_tenant_with_a_budget_of_its_own_is_not_counted_as_a_caller() {
    let mut world = World::new(|v| teams(v, json!({})));
    for k in 0..20 {
        let id = k.to_string();
        assert_eq!(refused(&mut world, &[("x-session-id", &id), ("x-team", "gold")], HOME, 0), None);
    }
}

#[test]
fn invented_names_share_one_purse_and_shut_no_configured_tenant_out() {
    let mut world = World::new(|v| {
        teams(v, json!({"default_usd": "0.002"}));
        v["callers"] = json!({"enabled": false});
        v["strategy"] = json!({"always": "large"});
    });
    // A turn costs 9 × 3 + 2 × 15 USD per million = 0.000057 USD and needs 0.001902 USD.
    let served = (0..40).filter(|k| refused(&mut world, &[("x-team", &k.to_string())], HOME, 0).is_none());
    assert_eq!(served.count(), 2);
    let last = refused(&mut world, &[("x-team", "another")], HOME, 0);
    assert_eq!(last.as_deref(), Some("tenant_budget_exceeded"));
    assert_eq!(refused(&mut world, &[("x-team", "gold")], HOME, 0), None);
}

#[test]
fn names_with_a_purse_each_shut_no_configured_tenant_out() {
    let mut world = World::new(|v| teams(v, json!({"default_usd": "1", "default_per_name": true})));
    let served = (0..90).filter(|k| refused(&mut world, &[("x-team", &k.to_string())], HOME, 0).is_none());
    assert_eq!(served.count(), 2);
    assert_eq!(refused(&mut world, &[("x-team", "gold")], HOME, 0), None);
}

#[test]
fn one_sessions_turns_leave_a_colleague_half_of_the_tenants_money() {
    let mut world = World::new(|v| {
        teams(v, json!({}));
        v["tenants"]["budgets_usd"]["gold"] = json!("0.05");
        v["budget"] = json!({"default_usd": "0.05"});
        v["strategy"] = json!({"always": "large"});
    });
    let mut ask = |id: &str, max_output_tokens: u64| {
        let head = request(&world, &[("x-session-id", id), ("x-team", "gold")], HOME);
        let body = BodyFacts { max_output_tokens: Some(max_output_tokens), ..body() };
        match world.engine.admit(&world.store, &head, Some(&body), Some(400), 0, &mut world.counts) {
            Admission::Route(turn) => Some(turn.record().reserved_nano_usd.0),
            _ => None,
        }
    };
    let greedy: Vec<u64> = (0..5).map_while(|_| ask("greedy", 1_000_000)).collect();
    assert_eq!(greedy[0], 25_000_000);
    // Its further turns hold their least cost only.
    assert!(greedy[1..].iter().all(|held| *held == greedy[1] && *held < 7_000_000), "{greedy:?}");
    assert!(greedy.iter().sum::<u64>() < 50_000_000, "{greedy:?}");
    assert!(ask("colleague", 100).is_some());
}

#[test]
fn an_answer_that_cannot_be_cut_holds_its_upper_cost_of_a_tenant() {
    let mut world = World::new(|v| {
        teams(v, json!({}));
        v["tenants"]["budgets_usd"]["gold"] = json!("0.002");
    });
    let head = request(&world, &[("x-session-id", "a"), ("x-team", "gold")], HOME);
    let admission = world.engine.admit(&world.store, &head, Some(&body()), Some(400), 0, &mut world.counts);
    assert!(matches!(admission, Admission::Route(turn) if turn.record().reserved_nano_usd.0 == 1_902_000));
}

/// Counts host calls.
struct Counted<'a> {
    inner: &'a MemoryStore,
    calls: Cell<u32>,
}

impl SharedStore for Counted<'_> {
    fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.calls.set(self.calls.get() + 1);
        self.inner.get(key)
    }

    fn compare_and_swap(&self, key: &str, value: &[u8], number: u32) -> Result<Swap, StoreError> {
        self.calls.set(self.calls.get() + 1);
        self.inner.compare_and_swap(key, value, number)
    }
}

#[test]
fn only_a_new_session_asks_for_its_caller() {
    let mut world = World::new(few_sessions);
    let head = request(&world, &[("x-session-id", "a")], HOME);
    let calls = [0, 1, 2].map(|now_ms| {
        let store = Counted { inner: &world.store, calls: Cell::new(0) };
        let admission =
            world.engine.admit(&store, &head, Some(&body()), Some(400), now_ms, &mut world.counts);
        assert!(matches!(admission, Admission::Route(_)));
        store.calls.get()
    });
    assert_eq!(calls, [4, 2, 2]);
}

#[test]
fn a_stream_that_is_longer_than_its_lease_keeps_its_money() {
    let mut world = World::new(|v| {
        teams(v, json!({}));
        v["ledger"] = json!({"lease_ms": 10_000});
    });
    let head = request(&world, &[("x-session-id", "a"), ("x-team", "gold")], HOME);
    // Leases of tenants end at parts of a lease: the turn begins at each place between two of them.
    for begun_ms in [0, 1, 600, 1249, 1250, 1251] {
        let store = Counted { inner: &world.store, calls: Cell::new(0) };
        let admission =
            world.engine.admit(&store, &head, Some(&body()), Some(400), begun_ms, &mut world.counts);
        let Admission::Route(mut turn) = admission else { panic!("refused") };
        store.calls.set(0);
        let mut now_ms = begun_ms;
        while now_ms < begun_ms + 100_000 {
            now_ms += 100;
            assert!(world.engine.keep_alive(&mut turn, &store, now_ms, &mut world.counts));
        }
        assert!((70..90).contains(&store.calls.get()), "{} calls for 20 renewals", store.calls.get());
        let answer = Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() };
        let record = world.engine.conclude(&store, *turn, &answer, now_ms, &mut world.counts);
        assert_eq!(record.outcome, "settled");
    }
    let lost = [Counter::ExpiredNanoUsd, Counter::TenantExpiredNanoUsd, Counter::LateNanoUsd];
    assert_eq!(lost.map(|counter| world.counts.get(counter)), [0; 3]);
    assert!((100..=120).contains(&world.counts.get(Counter::LeasesRenewed)));
}

#[test]
fn a_stream_that_stalls_for_a_lease_has_lost_its_money_and_asks_no_more() {
    let mut world = World::new(|_| {});
    let mut turn = world.route();
    let lease_ms = world.engine.config().ledger.lease_ms;
    let store = Counted { inner: &world.store, calls: Cell::new(0) };
    let mut calls = |now_ms| {
        store.calls.set(0);
        let holds = world.engine.keep_alive(&mut turn, &store, now_ms, &mut world.counts);
        (holds, store.calls.get())
    };
    assert_eq!(calls(1000 + lease_ms / 2 - 1), (true, 0));
    assert!(!calls(1000 + lease_ms).0);
    assert_eq!(calls(1000 + 9 * lease_ms), (false, 0));
}

/// Ends turns of a session, or without one, as left by their client.
fn leave(turns: usize, session: Option<SessionId>, change: impl FnOnce(&mut Value)) -> Vec<Ended> {
    let config = changed_example(change);
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let ledger = Ledger::new(&store, &config, Namespace::Real);
    let headers = vec![(b"x-team".to_vec(), b"gold".to_vec())];
    let identity = Identity::read(&config, &headers, None);
    let caller = Caller::Address(Network::V4([10, 0, 0, 1]));
    let payer = Payer {
        session,
        conversation: Conversation::default(),
        budget_if_new: NanoUsd(1000),
        tenant: identity.tenant(),
        caller: &caller,
    };
    let turn = SettledTurn {
        cost: NanoUsd(5),
        model: 0,
        prompt_tokens: 1,
        body_bytes: 4,
        warm_tokens: 0,
        output_tokens: 1,
    };
    let ended = (0..turns).map(|_| {
        let open = ledger.open(&payer, 0, &mut counts).unwrap();
        let holding = open.hold(NanoUsd(10), &mut counts).unwrap().unwrap();
        ledger.end(holding, Ending::Left(turn), 0, &mut counts).unwrap()
    });
    let ended = ended.collect::<Vec<_>>();
    let charged = ended.iter().filter(|ended| **ended == Ended::Charged).count() as u64;
    let of = |counter| counts.get(counter);
    assert_eq!((of(Counter::EarlyLeaves), of(Counter::EarlyLeavesCharged)), (turns as u64, charged));
    if session.is_some() {
        assert_eq!(of(Counter::SettledNanoUsd), 5 * charged);
    }
    if payer.tenant.is_some() {
        assert_eq!(of(Counter::TenantSettledNanoUsd), 5 * charged, "both levels say the same");
    }
    ended
}

#[test]
fn leaving_before_an_answer_is_free_as_often_as_session_and_tenant_both_allow() {
    use Ended::{Charged, Refunded};
    let session = Some(SessionId([1; 16]));
    assert_eq!(leave(3, session, |_| {}), [Refunded, Charged, Charged]);
    let thrice = |v: &mut Value| v["ledger"] = json!({"free_early_leaves": 3});
    assert_eq!(leave(5, session, thrice), [Refunded, Refunded, Refunded, Charged, Charged]);
    assert_eq!(leave(2, session, |v| v["ledger"] = json!({"free_early_leaves": 0})), [Charged; 2]);
    let strict = |v: &mut Value| teams(v, json!({"free_early_leaves": 1}));
    assert_eq!(leave(3, session, strict), [Refunded, Charged, Charged]);
    let lenient = |v: &mut Value| teams(v, json!({}));
    assert_eq!(leave(3, session, lenient), [Refunded, Charged, Charged]);
    assert_eq!(leave(3, None, strict), [Refunded, Charged, Charged], "the tenant alone decides");
    assert_eq!(leave(5, None, |_| {}), [Refunded; 5], "there is no account, and each turn was claimed");
}

#[test]
fn a_client_that_leaves_before_every_answer_pays_from_the_second_time_on() {
    let mut world = World::new(|_| {});
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let turn = world.route();
        let reserved = turn.record().reserved_nano_usd;
        let record = world.end(turn, Answer::default());
        let free = record.outcome == "refunded";
        assert_eq!(record.charged_nano_usd, if free { NanoUsd::ZERO } else { reserved });
        assert_eq!(record.usage.is_none(), free);
        outcomes.push(record.outcome.to_string());
    }
    assert_eq!(outcomes, ["refunded", "estimated", "estimated", "estimated", "estimated"]);
    assert_eq!((world.session().early_leaves, world.session().turns), (1, 0));
    assert_eq!(world.counts.get(Counter::UsageEstimated), 4);
}
