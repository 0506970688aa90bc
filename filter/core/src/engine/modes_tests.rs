//! Tests of tenants, shadow, canary, locks and the exhaustion ladder.

use super::tests::{World, body, engine, head, identity, usage};
use super::*;
use crate::body::text::TextFeatures;
use crate::counters::{Counter, Counts};
use crate::decide::decision::Ask;
use crate::decide::estimate::RequestSize;
use crate::decide::locks::Needs;
use crate::decide::reason::Reason;
use crate::ledger::SessionView;
use crate::ledger::store::MemoryStore;
use crate::money::NanoUsd;
use crate::request::head::RequestHead;
use serde_json::{Value, json};

fn with_tenant(budget_usd: &'static str) -> impl FnOnce(&mut Value) {
    move |v| {
        v["session"] = json!({"tenant_header": "x-team"});
        v["tenants"] = json!({"default_usd": budget_usd, "window_ms": 3_600_000});
    }
}

#[test]
fn a_tenants_budget_bounds_its_sessions_together_and_is_named_when_it_is_used_up() {
    // A large turn reserves 0.001902 USD, a small one 0.0000534 USD.
    let mut world = World::new(with_tenant("0.002"));
    let mut sessions = Vec::new();
    let refused = loop {
        let head = RequestHead {
            identity: identity(&world.engine, &format!("chat-{}", sessions.len())),
            ..head(&world.engine)
        };
        match world.engine.admit(&world.store, &head, Some(&body()), Some(400), 1000, &mut world.counts) {
            Admission::Route(turn) => sessions.push(turn.record().chosen.clone().unwrap()),
            Admission::Refuse(turn, reply) => break (turn, reply),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sessions, ["large", "small"]);
    assert_eq!((refused.1.status, refused.1.reason), (429, Reason::TenantBudgetExceeded));
    assert!(refused.0.record().tenant.is_some());
    assert_eq!(world.counts.get(Counter::TenantExhausted), 1);
    assert_eq!(
        world.counts.get(Counter::TenantGrantedNanoUsd),
        world.counts.get(Counter::GrantedNanoUsd),
        "what one level holds, the other holds"
    );
}

#[test]
fn a_turn_ends_on_both_levels() {
    let mut world = World::new(with_tenant("1"));
    let turn = world.route();
    let answer = Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() };
    let record = world.end(turn, answer);
    assert_eq!(world.counts.get(Counter::TenantSettledNanoUsd), record.charged_nano_usd.0);
    let turn = world.route();
    world.end(turn, Answer { status: Some(503), ..Answer::default() });
    let [granted, settled, refunded] =
        [Counter::TenantGrantedNanoUsd, Counter::TenantSettledNanoUsd, Counter::TenantRefundedNanoUsd]
            .map(|counter| world.counts.get(counter));
    assert_eq!(granted, settled + refunded);
}

#[test]
fn a_shadow_records_and_charges_nothing() {
    let mut world = World::new(|v| v["enforcement"] = json!("shadow"));
    let Admission::Observe(turn) = world.admit() else { panic!("a shadow only observes") };
    assert_eq!((turn.record().shadow, turn.record().propensity), (true, 0.0));
    assert_eq!(turn.record().chosen.as_deref(), Some("large"));
    let answer = Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() };
    let record = world.end(*turn, answer);
    assert_eq!(record.outcome, "settled");
    assert_eq!(world.session(), SessionView::default(), "no money of the session was touched");
    assert_eq!(world.counts.get(Counter::GrantedNanoUsd), 0);
    // Its own table is updated, so that the second decision is a second turn's.
    let Admission::Observe(second) = world.admit() else { panic!("a shadow only observes") };
    assert_eq!((second.record().turn, second.record().spent_nano_usd), (1, record.charged_nano_usd));
    assert_eq!(world.counts.get(Counter::ShadowDecisions), 2);
}

#[test]
fn a_shadow_refuses_nothing_and_says_what_it_would_have_refused() {
    let mut world = World::new(|v| {
        v["enforcement"] = json!("shadow");
        v["budget"]["default_usd"] = json!("0.00001");
    });
    let Admission::Observe(turn) = world.admit() else { panic!("a shadow only observes") };
    assert_eq!(turn.record().reason, "session_budget_exceeded");
    assert_eq!((world.counts.get(Counter::ShadowRefusals), world.counts.get(Counter::Exhausted)), (1, 0));
}

#[test]
fn before_a_refusal_the_cheapest_model_may_give_a_shorter_answer() {
    let poor = |v: &mut Value| {
        v["budget"] = json!({"default_usd": "0.00002", "cap_output": true, "shortest_output_tokens": 10});
    };
    let mut world = World::new(poor);
    // 134 tokens of input cost 0.0000134 USD, so 16 tokens of output are left of 0.00002 USD.
    let turn = world.route();
    assert_eq!(turn.record().reason, "shortened");
    assert_eq!((turn.record().chosen.as_deref(), turn.record().output_cap_tokens), (Some("small"), Some(16)));
    assert_eq!(turn.record().mask, [true, false]);
    let mut poorer = World::new(|v| {
        poor(v);
        v["budget"]["shortest_output_tokens"] = json!(17);
    });
    assert!(matches!(poorer.admit(), Admission::Refuse(_, reply) if reply.status == 429));
}

#[test]
fn a_locked_conversation_is_refused_rather_than_broken() {
    let world = World::new(|_| {});
    let needs = Needs { same_model: true, ..Needs::default() };
    let size = RequestSize { body_bytes: Some(400), max_output_tokens: Some(100), ..RequestSize::default() };
    let session = |budget| SessionView { turns: 1, last_model: Some(1), ..SessionView::new(NanoUsd(budget)) };
    let decide = |budget| {
        let session = session(budget);
        let ask = Ask { size, needs, ..Ask::default() };
        let chooser = Chooser { config: world.engine.config(), session: &session, ask: &ask, lambda: 0.0 };
        chooser.decide(|_| None).chosen
    };
    assert_eq!(decide(10_000_000), Some(1));
    assert_eq!(decide(1_000_000), None, "the small model is affordable, and the conversation is not its own");
}

#[test]
fn a_switch_must_pay_for_the_prompt_cache_that_it_gives_up() {
    let tar = test_policy::quality([1.0, 1.1]);
    let engine = |margin: f32| {
        engine(|v| {
            v["strategy"] = json!("policy");
            v["policy_b64"] = json!(BASE64_STANDARD.encode(&tar));
            v["switching"] = json!({"cache_margin": margin});
            v["models"][0]["prices"]["cached_input_pico_usd_per_token"] = json!(10_000);
        })
    };
    let session = SessionView {
        turns: 1,
        last_model: Some(0),
        last_prompt_tokens: 10_000,
        idle_ms: Some(1000),
        ..SessionView::new(NanoUsd(1_000_000_000))
    };
    let size =
        RequestSize { body_bytes: Some(40_000), max_output_tokens: Some(100), ..RequestSize::default() };
    let decide = |margin, session: &SessionView| {
        let decision = engine(margin).decide(session, &size, &TextFeatures::default(), 0.0);
        (decision.chosen, decision.reason.unwrap())
    };
    // 10,000 tokens at a discount of 0.09 USD per million are 0.0009 of the budget of 1 USD; the gain is 0.1.
    assert_eq!(decide(0.0, &session), (Some(1), Reason::Policy));
    assert_eq!(decide(100.0, &session), (Some(1), Reason::Policy));
    assert_eq!(decide(120.0, &session), (Some(0), Reason::CacheKept));
    let cold = SessionView { idle_ms: Some(3_600_000), ..session };
    assert_eq!(decide(120.0, &cold), (Some(1), Reason::Policy));
}

#[test]
fn a_canary_decides_its_share_of_the_sessions_and_all_turns_of_each() {
    let [main, canary] = [[2.0, 1.0], [1.0, 2.0]].map(test_policy::quality);
    let engine = engine(|v| {
        v["strategy"] = json!("policy");
        v["policy_b64"] = json!(BASE64_STANDARD.encode(&main));
        v["policy_canary_b64"] = json!(BASE64_STANDARD.encode(&canary));
        v["canary_share"] = json!(0.25);
        v["callers"] = json!({"enabled": false});
    });
    let (store, mut counts) = (MemoryStore::default(), Counts::default());
    let mut by_canary = 0;
    for number in 0..400 {
        let head = RequestHead { identity: identity(&engine, &format!("chat-{number}")), ..head(&engine) };
        let mut turn =
            |now_ms| match engine.admit(&store, &head, Some(&body()), Some(400), now_ms, &mut counts) {
                Admission::Route(turn) => turn.record().clone(),
                other => panic!("{other:?}"),
            };
        let (first, second) = (turn(1), turn(2));
        assert_eq!(first.policy, second.policy);
        let is_canary = Some(first.policy.as_str()) == engine.canary_id();
        assert_eq!(first.policy_share, if is_canary { 0.25 } else { 0.75 });
        assert_eq!(first.chosen.as_deref(), Some(if is_canary { "large" } else { "small" }));
        by_canary += u32::from(is_canary);
    }
    assert!((70..130).contains(&by_canary), "{by_canary} of 400");
}

/// Policies of known choices.
mod test_policy {
    use crate::decide::features;
    use crate::money::NanoUsd;
    use crate::policy::manifest::{Manifest, SCHEMA_VERSION, TrainedModel};
    use crate::policy::write::{Layer, NetworkWeights, archive};

    /// The archive of a policy for the example's two models that gives each its quality in every state.
    pub fn quality(quality: [f32; 2]) -> Vec<u8> {
        let config = super::engine(|_| {}).config().clone();
        let features = features::names(2);
        let layer =
            |out: usize, width: usize, biases: Vec<f32>| Layer { weights: vec![0.0; out * width], biases };
        let network = NetworkWeights {
            mean: vec![0.0; features.len()],
            std: vec![1.0; features.len()],
            front: None,
            hidden: vec![layer(2, features.len(), vec![0.0; 2])],
            quality: layer(2, 2, quality.to_vec()),
            cost: layer(2, 2, vec![0.0; 2]),
        };
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            name: format!("prefers-{}", if quality[0] > quality[1] { "small" } else { "large" }),
            features_sha256: features::names_sha256(&features),
            features,
            models: config.models.iter().map(TrainedModel::from).collect(),
            learner: serde_json::json!({"algorithm": "none"}),
            budget_range_nano_usd: [NanoUsd(1), NanoUsd(1)],
            data_sha256: "0".repeat(64),
            sha256: String::new(),
        };
        archive(&network, manifest).unwrap()
    }
}
