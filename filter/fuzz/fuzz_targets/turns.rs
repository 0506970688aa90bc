//! Whole turns on a store in memory: requests with any body, answers of any kind, in any order, with crashes and
//! leases that end. After every step `granted = settled + refunded + expired + outstanding`.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::counters::{Counter, Counts};
use seqroute_core::engine::{Admission, Answer, Engine, Turn, Upstream};
use seqroute_core::ledger::Namespace;
use seqroute_core::ledger::sessions::bucket::SessionBucket;
use seqroute_core::ledger::store::{MemoryStore, SharedStore};
use seqroute_core::ledger::table::Stored;
use seqroute_core::request::api::Api;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_fuzz::open_minded_config;

const BUCKETS: u32 = 2;

thread_local! {
    // A policy's network is not `Sync`; libFuzzer has one thread.
    static ENGINE: Engine = engine();
}

fn engine() -> Engine {
    let mut config = open_minded_config();
    config["ledger"]["buckets"] = BUCKETS.into();
    config["ledger"]["sessions_per_bucket"] = 4.into();
    config["ledger"]["on_full"] = "evict_idle".into();
    config["budget"]["shortest_output_tokens"] = 16.into();
    Engine::configure(config.to_string().as_bytes()).expect("a configuration")
}

#[derive(Arbitrary, Debug)]
enum Action<'a> {
    Request { session: u8, tenant: u8, budget_mills: u16, body: &'a [u8], body_bytes: Option<u32> },
    Answer { turn: u8, status: Option<u16>, whole: bool, kind: u8, body: &'a [u8] },
    Forget { turn: u8 },
    Wait { seconds: u16 },
    Renew { turn: u8 },
}

fuzz_target!(|actions: Vec<Action<'_>>| ENGINE.with(|engine| play(engine, actions)));

fn play(engine: &Engine, actions: Vec<Action<'_>>) {
    let (store, mut counts, mut open, mut now_ms) =
        (MemoryStore::default(), Counts::default(), Vec::new(), 1_000_u64);
    for action in actions {
        match action {
            Action::Request { session, tenant, budget_mills, body, body_bytes } => {
                let headers = headers(session % 8, tenant % 2, budget_mills);
                open.extend(request(engine, &store, &headers, body, body_bytes, now_ms, &mut counts));
            }
            Action::Answer { turn, status, whole, kind, body } => {
                if let Some(turn) = take(&mut open, turn) {
                    let mut reader = AnswerReader::new(Api::OpenAiChat, b"");
                    reader.feed(body);
                    let upstreams = [Upstream::Silent, Upstream::Answered, Upstream::Unreached];
                    let answer = Answer {
                        status: status.map(u32::from),
                        upstream: upstreams[usize::from(kind) % 3],
                        kept: kind >= 128,
                        usage: reader.finish(3),
                        is_final: reader.is_final(whole, turn.answers()),
                        guessed_output_tokens: reader.guessed_output_tokens(3),
                        shown: reader.shown(whole),
                    };
                    let _ = engine.conclude(&store, turn, &answer, now_ms, &mut counts);
                }
            }
            Action::Forget { turn } => drop(take(&mut open, turn)),
            Action::Renew { turn } => {
                let turns = open.len().max(1);
                if let Some(turn) = open.get_mut(usize::from(turn) % turns) {
                    engine.keep_alive(turn, &store, now_ms, &mut counts);
                }
            }
            Action::Wait { seconds } => now_ms += u64::from(seconds) * 1_000,
        }
        let [granted, settled, refunded, expired] = [
            Counter::GrantedNanoUsd,
            Counter::SettledNanoUsd,
            Counter::RefundedNanoUsd,
            Counter::ExpiredNanoUsd,
        ]
        .map(|counter| counts.get(counter));
        assert_eq!(granted, settled + refunded + expired + outstanding(&store));
    }
}

/// What the buckets hold.
fn outstanding(store: &MemoryStore) -> u64 {
    let bucket = |number: u32| {
        let key = format!("{}/sessions/{BUCKETS}/{number}", Namespace::Real.prefix());
        let stored = store.get(&key).expect("a store in memory").unwrap_or_default().0;
        let bucket = SessionBucket::from_bytes(&stored).expect("a bucket that the engine wrote");
        bucket.entries.iter().map(|entry| entry.last_view(0).outstanding.0).sum::<u64>()
    };
    (0..BUCKETS).map(bucket).sum()
}

fn headers(session: u8, tenant: u8, budget_mills: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = [
        (":method", "POST".to_owned()),
        (":path", "/v1/chat/completions".to_owned()),
        ("x-session-id", format!("s{session}")),
        ("x-tenant", format!("t{tenant}")),
        ("x-seqroute-budget-usd", format!("0.{budget_mills:05}1")),
    ];
    pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes())).to_vec()
}

fn request(
    engine: &Engine,
    store: &MemoryStore,
    headers: &Vec<(Vec<u8>, Vec<u8>)>,
    body: &[u8],
    body_bytes: Option<u32>,
    now_ms: u64,
    counts: &mut Counts,
) -> Option<Turn> {
    let HeadVerdict::Llm(head) = RequestHead::read(engine.config(), headers, None, counts) else {
        return None;
    };
    let mut reader = RequestBody::new(Api::OpenAiChat);
    reader.scan(body);
    let length = body_bytes.map(u64::from);
    match engine.admit(store, &head, Some(&reader.facts()), length, now_ms, counts) {
        Admission::Route(turn) => Some(*turn),
        _ => None,
    }
}

fn take(open: &mut Vec<Turn>, number: u8) -> Option<Turn> {
    if open.is_empty() { None } else { Some(open.swap_remove(usize::from(number) % open.len())) }
}
