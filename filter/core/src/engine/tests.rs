//! Tests of whole turns on a store in memory.

use super::*;
use crate::body::facts::BodyFacts;
use crate::body::input::{InputSize, ReadInput};
use crate::config::tests::example;
use crate::counters::{Counter, Counts};
use crate::ledger::sessions::SessionTable;
use crate::ledger::store::MemoryStore;
use crate::ledger::{Namespace, SessionView};
use crate::money::NanoUsd;
use crate::reply::record::DecisionRecord;
use crate::request::call::Call;
use crate::request::head::RequestHead;
use crate::request::identity::Identity;
use crate::usage::Usage;
use serde_json::{Value, json};

pub(super) fn engine(change: impl FnOnce(&mut Value)) -> Engine {
    let mut value = example();
    change(&mut value);
    Engine::configure(value.to_string().as_bytes()).unwrap()
}

pub(super) fn identity(engine: &Engine, session: &str) -> Identity {
    let headers = vec![(b"x-session-id".to_vec(), session.as_bytes().to_vec())];
    Identity::read(engine.config(), &headers, Some(b"10.0.0.1:5000"))
}

pub(super) fn head(engine: &Engine) -> RequestHead {
    RequestHead {
        call: Call { path: "/v1/chat/completions".to_owned(), ..Call::default() },
        identity: identity(engine, "chat-1"),
        budget: engine.config().default_budget(),
        lambda: 0.0,
        difficulty: None,
        debug: false,
        body_bytes: Some(400),
        accepts_encoded: false,
    }
}

/// A whole body of 400 bytes whose text weighs so many tokens.
pub(super) fn read(text_tokens: u64) -> ReadInput {
    let size = InputSize { text_tokens, ..InputSize::default() };
    ReadInput { size, bytes: 400, complete: true, ..ReadInput::default() }
}

pub(super) fn body() -> BodyFacts {
    BodyFacts {
        requested_model: Some("auto".to_owned()),
        max_output_tokens: Some(100),
        // With the 64 tokens that a server may add, 134: a third of the body's bytes.
        read: read(70),
        ..BodyFacts::default()
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) store: MemoryStore,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(change: impl FnOnce(&mut Value)) -> World {
        World { engine: engine(change), store: MemoryStore::default(), counts: Counts::default() }
    }

    pub(super) fn admit(&mut self) -> Admission {
        let head = head(&self.engine);
        self.engine.admit(&self.store, &head, Some(&body()), Some(400), 1000, &mut self.counts)
    }

    pub(super) fn route(&mut self) -> Turn {
        match self.admit() {
            Admission::Route(turn) => *turn,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&mut self, turn: Turn, answer: Answer) -> DecisionRecord {
        self.engine.conclude(&self.store, turn, &answer, 2000, &mut self.counts)
    }

    pub(super) fn session(&self) -> SessionView {
        let table = SessionTable::new(&self.store, &self.engine.config().ledger, Namespace::Real);
        table
            .view(identity(&self.engine, "chat-1").session(self.engine.config(), None).unwrap(), 2000)
            .unwrap()
            .unwrap_or_default()
    }
}

pub(super) fn usage(input_tokens: u64, output_tokens: u64) -> Option<Usage> {
    Some(Usage { input_tokens, output_tokens, ..Usage::default() })
}

#[test]
fn an_answer_with_usage_is_charged_at_its_true_cost() {
    let mut world = World::new(|_| {});
    let turn = world.route();
    assert_eq!(turn.record().chosen.as_deref(), Some("large"));
    let record = world
        .end(turn, Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() });
    assert_eq!(record.outcome, "settled");
    assert_eq!(record.charged_nano_usd, NanoUsd(90 * 3000 + 20 * 15000));
    assert_eq!(world.session().spent, record.charged_nano_usd);
    assert_eq!((world.session().turns, world.session().last_model), (1, Some(1)));
}

#[test]
fn the_myopic_strategy_falls_to_the_cheaper_model_and_then_refuses() {
    let mut world = World::new(|v| v["budget"]["default_usd"] = json!("0.003"));
    // 134 tokens × 3 USD + 100 × 15 USD per million = 0.001902 USD reserved for the large model.
    let first = world.route();
    let second = world.route();
    assert_eq!(
        (first.record().chosen.as_deref(), second.record().chosen.as_deref()),
        (Some("large"), Some("small"))
    );
    world.end(
        first,
        Answer { status: Some(200), usage: usage(555, 105), is_final: true, ..Answer::default() },
    );
    world.end(
        second,
        Answer { status: Some(200), usage: usage(2000, 0), is_final: true, ..Answer::default() },
    );
    let Admission::Refuse(turn, reply) = world.admit() else { panic!("the session has no money left") };
    assert_eq!((reply.status, turn.record().reason.as_str()), (429, "session_budget_exceeded"));
    assert_eq!(world.counts.get(Counter::Exhausted), 1);
}

#[test]
fn many_turns_at_once_cannot_reserve_more_than_the_budget() {
    let mut world = World::new(|_| {});
    let turns: Vec<Turn> = (0..64)
        .filter_map(|_| match world.admit() {
            Admission::Route(turn) => Some(*turn),
            _ => None,
        })
        .collect();
    let reserved: u64 = turns.iter().map(|turn| turn.record().reserved_nano_usd.0).sum();
    assert!(reserved <= 10_000_000 && turns.len() > 5, "{reserved} by {}", turns.len());
}

#[test]
fn an_unknown_model_is_refused_or_routed() {
    for (on_error, refused) in [("reject", true), ("use_default", false)] {
        let mut world = World::new(|v| v["on_error"] = json!({"unknown_model": on_error}));
        let head = head(&world.engine);
        let body = BodyFacts { requested_model: Some("gpt-9".repeat(40)), ..body() };
        let admission = world.engine.admit(&world.store, &head, Some(&body), Some(400), 0, &mut world.counts);
        assert_eq!(matches!(admission, Admission::Refuse(_, reply) if reply.status == 400), refused);
        assert_eq!(world.counts.get(Counter::UnknownModel), 1);
    }
}

#[test]
fn a_request_without_a_session_gets_one_turn_of_the_default_budget() {
    let mut world = World::new(|_| {});
    let head = RequestHead { identity: Identity::default(), ..head(&world.engine) };
    let admission = world.engine.admit(&world.store, &head, Some(&body()), Some(400), 0, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!("refused") };
    let record = world
        .end(*turn, Answer { status: Some(200), usage: usage(1, 1), is_final: true, ..Answer::default() });
    assert_eq!((record.session, world.counts.get(Counter::GrantedNanoUsd)), (None, 0));
}

#[test]
fn a_body_that_is_not_an_object_is_refused_without_a_charge() {
    let mut world = World::new(|_| {});
    let head = head(&world.engine);
    let refused = world.engine.refuse_invalid_body(&head, 0, &mut world.counts);
    assert!(matches!(refused, Some(Admission::Refuse(_, reply)) if reply.status == 400));
    assert_eq!(world.session(), SessionView::default());
}

#[test]
fn a_prompt_too_long_for_every_model_is_not_called_exhaustion() {
    let mut world = World::new(|v| v["budget"]["default_usd"] = json!("1000"));
    let head = head(&world.engine);
    let admission = world.engine.admit(&world.store, &head, None, Some(4_000_000), 0, &mut world.counts);
    assert!(matches!(admission, Admission::Refuse(_, reply) if reply.reason == "context_length_exceeded"));
    assert_eq!(world.counts.get(Counter::Exhausted), 0);
}

#[test]
fn a_record_survives_its_own_json() {
    let mut world = World::new(|_| {});
    let turn = world.route();
    let record = world
        .end(turn, Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() });
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<DecisionRecord>(&json).unwrap(), record);
    assert!(!json.contains('\n'));
}

#[test]
fn a_policy_that_is_not_base64_is_refused_in_one_line() {
    let mut value = example();
    value["strategy"] = json!("policy");
    value["policy_b64"] = json!("%%%");
    let error = Engine::configure(value.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("policy archive: `policy_b64` is not valid base64"), "{error}");
}

#[test]
fn several_answers_without_a_limit_are_reserved_for_each() {
    let mut world = World::new(|v| v["budget"]["default_usd"] = json!("1"));
    let head = head(&world.engine);
    let several = BodyFacts { answers: 5, max_output_tokens: None, ..body() };
    let admission = world.engine.admit(&world.store, &head, Some(&several), Some(400), 0, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!("refused") };
    // 134 tokens of input and five times the upper 400 of output, at 3 and 15 USD per million.
    assert_eq!(turn.record().reserved_nano_usd, NanoUsd(134 * 3000 + 5 * 400 * 15000));
}

/// Admits a request without a limit on `large` under this budget: what is reserved, and the limit that is sent.
fn unlimited(budget_usd: &str, answers: u64) -> (NanoUsd, Option<u64>) {
    let mut world = World::new(|v| {
        v["budget"] = json!({"default_usd": budget_usd});
        v["strategy"] = json!({"always": "large"});
        v["models"][1]["context_tokens"] = json!(10_000);
    });
    let head = head(&world.engine);
    let body = BodyFacts { answers, max_output_tokens: None, ..body() };
    let admission = world.engine.admit(&world.store, &head, Some(&body), Some(400), 0, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!("refused") };
    (turn.record().reserved_nano_usd, turn.record().output_cap_tokens)
}

#[test]
fn no_limit_is_added_where_the_money_pays_for_all_that_the_model_can_write() {
    assert_eq!(unlimited("1", 1), (NanoUsd(134 * 3000 + 10_000 * 15000), None));
    assert_eq!(unlimited("2", 5), (NanoUsd(134 * 3000 + 50_000 * 15000), None));
}

#[test]
fn a_turn_holds_at_most_its_share_of_what_is_free() {
    assert_eq!(unlimited("0.1", 1), (NanoUsd(50_000_000), Some((50_000_000 - 134 * 3000) / 15000)));
    // Two calls at once, each of which would take all of it.
    let mut world = World::new(|v| v["budget"] = json!({"default_usd": "1"}));
    let held = [1, 2, 3].map(|_| {
        let head = head(&world.engine);
        let body = BodyFacts { max_output_tokens: Some(64_000), ..body() };
        match world.engine.admit(&world.store, &head, Some(&body), Some(400), 0, &mut world.counts) {
            Admission::Route(turn) => turn.record().reserved_nano_usd.0,
            _ => 0,
        }
    });
    assert_eq!(held, [500_000_000, 250_000_000, 125_000_000]);
}

#[test]
fn the_least_cost_is_held_however_small_the_share() {
    // Twice the expected output of 100, with 134 tokens of input.
    let least = 134 * 3000 + 200 * 15000;
    assert_eq!(unlimited("0.0040", 1), (NanoUsd(least), Some(200)));
}

#[test]
fn a_body_that_is_not_rewritten_does_not_reserve_less() {
    let mut world = World::new(|v| {
        v["budget"] = json!({"default_usd": "0.004", "turn_share": 1.0});
        v["strategy"] = json!({"always": "large"});
    });
    let head = head(&world.engine);
    // 464 × 3 + 400 × 15 USD per million are 0.0074 USD: not there, and the answer of an unread body cannot be cut.
    let unread = world.engine.admit(&world.store, &head, None, Some(400), 0, &mut world.counts);
    assert!(matches!(unread, Admission::Refuse(_, reply) if reply.status == 429));
    let no_limit = BodyFacts { max_output_tokens: None, ..body() };
    let read = world.engine.admit(&world.store, &head, Some(&no_limit), Some(400), 0, &mut world.counts);
    assert!(matches!(read, Admission::Route(turn) if turn.record().output_cap_tokens == Some(239)));
}

#[test]
fn a_strong_answer_is_cut_before_it_takes_the_reserve_for_the_turns_to_come() {
    use crate::body::text::TextFeatures;
    use crate::decide::estimate::{RequestSize, TokenEstimate};
    let engine = engine(|v| {
        v["budget"] = json!({"default_usd": "0.0048", "turn_share": 1.0});
        v["estimate"] = json!({"unlimited_answer": "usual"});
        v["guard"] = json!({"remaining_turns": [10]});
    });
    let view = SessionView::new(NanoUsd(4_800_000));
    let size = RequestSize { body_bytes: Some(400), ..RequestSize::default() };
    // Ten turns of `small` with 100 tokens of input, 100 more in each, and 100 of output: 500,000 + 550,000 nano-USD.
    let decision = engine.decide(&view, &size, &TextFeatures::default(), 0.0);
    assert_eq!((decision.chosen, decision.reserved), (Some(1), NanoUsd(3_750_000)));
    assert_eq!(decision.output_cap_tokens, Some((3_750_000 - 134 * 3000) / 15000));
    let tokens = TokenEstimate::new(&engine.config().estimate, &size, &view);
    assert_eq!(engine.reservation(1, &view, &tokens), (decision.reserved, decision.output_cap_tokens));
    // The cheapest may take it.
    assert_eq!(engine.reservation(0, &view, &tokens).0, NanoUsd(134 * 100 + 400 * 400));
}

#[test]
fn a_request_without_a_session_passes_or_is_refused_as_configured() {
    for (no_session, bypassed) in [("bypass", true), ("reject", false)] {
        let mut world = World::new(|v| v["session"] = json!({"no_session": no_session}));
        let head = RequestHead { identity: Identity::default(), ..head(&world.engine) };
        let admission =
            world.engine.admit(&world.store, &head, Some(&body()), Some(400), 0, &mut world.counts);
        match admission {
            Admission::Bypass => assert!(bypassed),
            Admission::Refuse(_, reply) => assert_eq!((bypassed, reply.status), (false, 400)),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.counts.get(Counter::NoSession), 1);
    }
}

#[test]
fn where_clients_are_trusted_the_length_of_a_body_bounds_its_input() {
    let mut world = World::new(|v| v["estimate"] = json!({"input_bound": "ratio"}));
    let head = head(&world.engine);
    let dense = BodyFacts { read: read(9000), ..body() };
    let admission = world.engine.admit(&world.store, &head, Some(&dense), Some(400), 0, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!("refused") };
    assert_eq!(turn.record().reserved_nano_usd, NanoUsd(134 * 3000 + 100 * 15000));
}

/// A turn whose body begins with this message, settled by 90 and 20 tokens where it is answered.
fn turn_that_begins(world: &mut World, first: u64, change: impl FnOnce(&mut BodyFacts)) -> Option<String> {
    let mut body = body();
    body.session_ids.opening = crate::request::conversation::Opening { first: Some(first), system: Some(1) };
    change(&mut body);
    let head = head(&world.engine);
    let admission = world.engine.admit(&world.store, &head, Some(&body), Some(400), 1000, &mut world.counts);
    let Admission::Route(turn) = admission else { return None };
    let chosen = turn.record().chosen.as_ref().map(ToString::to_string);
    let answer = Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() };
    world.end(*turn, answer);
    chosen
}

#[test]
fn a_side_call_does_not_move_the_lock_of_the_main_conversation() {
    let mut world = World::new(|v| {
        v["budget"] = json!({"default_usd": "0.005", "cap_output": false});
    });
    let signed = |body: &mut BodyFacts| body.provider_state = true;
    assert_eq!(turn_that_begins(&mut world, 1, |_| {}).as_deref(), Some("large"));
    // Too long for the large model: it goes to the small one.
    let long = |body: &mut BodyFacts| body.max_output_tokens = Some(10_000);
    assert_eq!(turn_that_begins(&mut world, 2, long).as_deref(), Some("small"));
    assert_eq!(turn_that_begins(&mut world, 1, signed).as_deref(), Some("large"));
    assert_eq!(turn_that_begins(&mut world, 2, signed).as_deref(), Some("small"));
}

#[test]
fn an_agent_that_a_header_names_has_a_conversation_of_its_own() {
    let engine = engine(|_| {});
    let of = |agent: &str| {
        let headers = vec![
            (b"x-claude-code-session-id".to_vec(), b"s".to_vec()),
            (b"x-claude-code-agent-id".to_vec(), agent.as_bytes().to_vec()),
        ];
        let identity = Identity::read(engine.config(), &headers, None);
        (identity.session(engine.config(), None), identity.conversation(None))
    };
    assert_eq!(of("a").0, of("b").0);
    assert_ne!(of("a").1, of("b").1);
    assert_ne!(of("a").1, of("").1);
}

#[test]
fn a_compaction_is_reserved_for_as_an_answer_that_cannot_be_limited() {
    let mut world = World::new(|v| v["budget"] = json!({"default_usd": "5"}));
    let mut head = head(&world.engine);
    head.call.compacts = true;
    let body = BodyFacts { max_output_tokens: None, ..body() };
    let admission = world.engine.admit(&world.store, &head, Some(&body), Some(400), 1000, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!() };
    assert_eq!(turn.record().output_cap_tokens, None);
    assert_eq!(turn.record().reserved_nano_usd, NanoUsd(134 * 3000 + 128_000 * 15_000));
}

#[test]
fn a_warm_conversation_is_not_reserved_for_as_a_cold_one_where_the_doubt_allows_it() {
    let reserved = |doubt: f64| {
        let mut world = World::new(|v| {
            v["estimate"] = json!({"cache_doubt": doubt});
            v["models"][1]["prices"]["cached_input_pico_usd_per_token"] = json!(300_000);
        });
        let turn = world.route();
        let used =
            Usage { input_tokens: 100, cached_input_tokens: 80, output_tokens: 20, ..Usage::default() };
        world.end(turn, Answer { status: Some(200), usage: Some(used), is_final: true, ..Answer::default() });
        let turn = world.route();
        turn.record().reserved_nano_usd.0
    };
    assert_eq!(reserved(1.0) - reserved(0.25), 80 * 2700 * 3 / 4);
}
