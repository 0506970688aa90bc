//! The state and the policy's values in trainer, harness and Envoy agree to 1e-5, which a scenario cannot compare.
//!
//! Simulated sessions are played through real Envoy and through the harness by a policy; the trainer then replays
//! the same sessions with the models that Envoy chose. Requests have exactly four bytes per prompt token, so that all
//! three see equal sizes, and end with the message whose text features the trainer's sessions hold.

use seqroute_core::body::text::TextFeatures;
use seqroute_core::decide::features;
use seqroute_core::engine::Engine;
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_envoy::gateway::Listener;
use seqroute_harness::{Host, HostOptions, Plugin};
use seqroute_sessions::environment::{self, TurnTrace};
use seqroute_sessions::session::Session;
use seqroute_sessions::simulator::{Simulator, tiers};
use seqroute_tests::support::gateway::Gateway;
use seqroute_tests::support::{module, policies, settings};
use serde_json::{Value, json};

const TOLERANCE: f32 = 1e-5;
const BUDGETS_USD: [&str; 3] = ["0.002", "0.02", "0.2"];

fn plugin_settings(tar: &[u8]) -> Value {
    let mut settings = settings::with_policy(tar);
    settings["models"] = json!(tiers());
    // As in the simulator's environment.
    settings["estimate"] = json!({"input_bound": "ratio"});
    settings
}

/// Held-out sessions with more than a few turns, all long enough for a request's frame.
fn sessions() -> Vec<Session> {
    let simulated = Simulator::new(977).sessions(400);
    let fits = |session: &Session| {
        session.turns.len() >= 5 && session.turns.iter().all(|turn| turn.input_tokens >= 50)
    };
    let mut chosen: Vec<Session> = simulated.into_iter().filter(fits).take(4).collect();
    assert_eq!(chosen.len(), 4, "the simulator gives such sessions");
    for session in &mut chosen {
        for (number, turn) in session.turns.iter_mut().enumerate() {
            turn.text = TextFeatures::of(&message(number));
        }
    }
    chosen
}

/// What the user says in a turn: enough words for a record to have them, differing from turn to turn, and one character that
/// needs an escape in JSON.
fn message(number: usize) -> String {
    format!("why {number}\nis Ünit {} late? a b c d e f g h i j", number * 7)
}

/// A chat request of exactly `bytes` bytes that ends with this turn's message.
fn request(bytes: usize, number: usize) -> String {
    let frame = |padding: &str| {
        let messages = json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": padding}, {"content": message(number), "role": "user"},
        ]);
        json!({"model": "auto", "messages": messages}).to_string()
    };
    frame(&"x".repeat(bytes.checked_sub(frame("").len()).expect("room for the frame")))
}

/// Plays a session by `send`, which takes a request of one turn and returns the model that served it.
async fn play(
    session: &Session,
    mut send: impl AsyncFnMut(usize, u64, &str) -> Option<String>,
) -> Vec<usize> {
    let (mut history_tokens, mut actions) = (0, Vec::new());
    for (number, turn) in session.turns.iter().enumerate() {
        let prompt_tokens = history_tokens + turn.input_tokens;
        let body = request(usize::try_from(prompt_tokens * 4).unwrap(), number);
        let Some(model) = send(number, prompt_tokens, &body).await else { break };
        actions.push(tiers().iter().position(|tier| tier.name == model).unwrap());
        history_tokens = prompt_tokens + turn.outcome(&model).unwrap().output_tokens;
    }
    actions
}

fn assert_same(what: &str, records: &[DecisionRecord], traces: &[TurnTrace]) {
    let close = |found: &[f32], expected: &[f32]| {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE)
    };
    for (turn, (record, trace)) in records.iter().zip(traces).enumerate() {
        let values = trace.values.as_ref().unwrap();
        let text = record.text.as_deref().and_then(TextFeatures::from_base64).expect("a message was read");
        assert!(
            close(&features::with_text(&record.features, &text), trace.features.as_slice()),
            "{what}, turn {turn}: {record:?} {trace:?}"
        );
        assert!(close(&record.q_quality, &values.quality[..3]), "{what}, turn {turn}: {record:?} {trace:?}");
        assert!(close(&record.q_cost, &values.cost[..3]), "{what}, turn {turn}: {record:?} {trace:?}");
        assert_eq!(record.mask, trace.mask.as_slice(), "{what}, turn {turn}");
        if record.outcome == "settled" {
            assert_eq!(record.charged_nano_usd, trace.cost, "{what}, turn {turn}");
        }
    }
}

fn trainer(engine: &Engine, session: &Session, budget: &str, actions: &[usize]) -> Vec<TurnTrace> {
    environment::replay(engine, session, NanoUsd::parse_usd(budget).unwrap(), actions).unwrap()
}

fn in_harness(
    plugin: &Plugin,
    session: &Session,
    budget: &str,
    number: usize,
    prompt: u64,
    body: &str,
) -> DecisionRecord {
    let mut stream = plugin.stream();
    let length = body.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("x-session-id", &format!("{}-{budget}", session.session)),
        ("x-seqroute-budget-usd", budget),
        ("content-length", &length),
    ];
    stream.request_headers(&headers, false).unwrap();
    let step = stream.request_body(body, true).unwrap();
    if step.local_response.is_none() {
        stream.response_headers(&[(":status", "200"), ("content-type", "application/json")], false).unwrap();
        let headers = stream.client_response_headers().unwrap();
        let model = headers.get_str("x-seqroute-model").unwrap();
        let output = session.turns[number].outcome(&model).unwrap().output_tokens;
        let usage = json!({"usage": {"prompt_tokens": prompt, "completion_tokens": output}});
        stream.response_body(usage.to_string(), true).unwrap();
    }
    stream.finish().unwrap();
    serde_json::from_slice(&stream.filter_state("seqroute").unwrap()).unwrap()
}

#[test]
fn features_and_values_are_the_same_in_trainer_harness_and_envoy() {
    let tar = policies::arbitrary(5).unwrap();
    let engine = Engine::configure(plugin_settings(&tar).to_string().as_bytes()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let gateway = Gateway::start(2, &[Listener::new("policy", plugin_settings(&tar))]).await.unwrap();
        let compiled = module::compiled().unwrap();
        let vm = Host::new(HostOptions::default()).vm(&compiled, module::vm_options()).unwrap();
        let plugin = vm.plugin("seqroute", plugin_settings(&tar).to_string()).unwrap();
        let mut turns = 0;
        for (session, budget) in
            sessions().iter().flat_map(|session| BUDGETS_USD.map(|budget| (session, budget)))
        {
            let id = format!("{}-{budget}", session.session);
            let by_envoy = play(session, async |number, prompt, body| {
                let mut request = gateway
                    .chat("policy", body.to_owned())
                    .header("x-session-id", &id)
                    .header("x-seqroute-budget-usd", budget)
                    .header("x-mock-prompt-tokens", prompt);
                for outcome in &session.turns[number].options {
                    request = request
                        .header(format!("x-mock-output-tokens-{}", outcome.model), outcome.output_tokens);
                }
                let (status, headers, _) = gateway.send(request).await.unwrap();
                // The next turn must not start before Envoy has logged, and so settled, this one.
                gateway.records("policy", &id, number + 1).await.unwrap();
                (status == 200).then(|| headers["x-mock-model"].to_str().unwrap().to_owned())
            })
            .await;
            let mut records = gateway.records("policy", &id, by_envoy.len()).await.unwrap();
            records.truncate(by_envoy.len());
            let traces = trainer(&engine, session, budget, &by_envoy);
            assert_same(&format!("Envoy, {id}"), &records, &traces);

            let mut records = Vec::new();
            let by_harness = play(session, async |number, prompt, body| {
                let record = in_harness(&plugin, session, budget, number, prompt, body);
                records.push(record.clone());
                record.chosen.map(|name| name.to_string())
            })
            .await;
            assert_eq!(by_harness, by_envoy, "{id}");
            assert_same(&format!("harness, {id}"), &records, &traces);
            turns += by_envoy.len();
        }
        assert!(turns >= 30, "{turns} turns compared");
        gateway.stop().await;
    });
}
