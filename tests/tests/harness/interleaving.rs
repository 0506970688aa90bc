//! Several workers at once, interleaved at every host call, which a scenario cannot do: one session, one budget, turns
//! that are answered, fail, lose their client or die with their worker.
//!
//! The core's own search (`filter/core/src/ledger/interleaving_tests.rs`) is wider; this one runs what ships.
//! `SEQROUTE_SCHEDULES=20000 cargo test --release --workspace --test harness interleaving` looks longer.

use std::sync::Mutex;

use seqroute_core::reply::record::DecisionRecord;
use seqroute_harness::{Error, Interleaving, Schedule, search};
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::module::START_MS;
use seqroute_tests::support::settings;
use serde_json::json;

use crate::support::{Fixture, at_the_edge, json_answer};

const WORKERS: usize = 3;
const TURNS_PER_WORKER: usize = 3;
const BUDGET_NANO_USD: u64 = 10_000_000;
const LEASE_MS: u64 = 60_000;
/// The filter's estimate for the request of [`chat`]; an answer that reports at most this costs at most its reservation.
const PROMPT_TOKENS: u64 = 134;
const MAX_TOKENS: u64 = 100;

fn schedules() -> u64 {
    let named = std::env::var("SEQROUTE_SCHEDULES").ok();
    named.map_or(300, |number| number.parse().expect("SEQROUTE_SCHEDULES: a number"))
}

fn world() -> Fixture {
    let mut settings = settings::plugin(json!("best_affordable"));
    settings["ledger"] = json!({"on_full": "evict_idle", "lease_ms": LEASE_MS});
    Fixture::new(WORKERS, &settings)
}

/// A pseudo-random number for this turn.
fn draw(seed: u64, worker: usize, turn: usize, below: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(1_000_003) ^ (worker as u64) << 8 ^ turn as u64;
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (mixed >> 33) % below
}

/// One turn to its end. `None`: its worker died.
fn play(world: &Fixture, worker: usize, session: &str, fate: u64) -> Result<Option<DecisionRecord>, Error> {
    let body = chat(400, MAX_TOKENS);
    let budget = (BUDGET_NANO_USD as f64 / 1e9).to_string();
    let headers: [(&str, &[u8]); 2] =
        [("x-session-id", session.as_bytes()), ("x-seqroute-budget-usd", budget.as_bytes())];
    let mut stream = world.stream(worker);
    stream.request_headers(at_the_edge(&headers, body.as_bytes()), false)?;
    let refused = stream.request_body(body, true)?.local_response.is_some();
    let answer =
        |status: &str| [(":status", status.to_owned()), ("content-type", "application/json".to_owned())];
    match fate {
        _ if refused => {}
        // Mostly answered, at a cost up to the reservation.
        0..6 => {
            stream.response_headers(&answer("200"), false)?;
            stream.response_body(json_answer(PROMPT_TOKENS, MAX_TOKENS - fate * 10), true)?;
        }
        6 | 7 => {
            stream.response_headers(&answer("503"), false)?;
            stream.response_body("no healthy upstream", true)?;
        }
        // The client is gone.
        _ => {}
    }
    stream.finish()?;
    let record = stream.filter_state("seqroute");
    Ok(record.map(|json| serde_json::from_slice(&json).expect("a record is JSON")))
}

/// What one schedule led to.
struct Played {
    schedule: Schedule,
    records: Vec<DecisionRecord>,
    died: usize,
}

/// All turns of all workers in the order of the seed.
fn interleave(world: &Fixture, seed: u64, crash_one_in: Option<u32>) -> Played {
    let (records, died) = (Mutex::new(Vec::new()), Mutex::new(0));
    let mut interleaving = Interleaving::new(seed);
    if let Some(calls) = crash_one_in {
        interleaving = interleaving.crash_one_in(calls);
    }
    for worker in 0..WORKERS {
        let (records, died) = (&records, &died);
        interleaving = interleaving.task(move || {
            for turn in 0..TURNS_PER_WORKER {
                match play(world, worker, &format!("hot-{seed}"), draw(seed, worker, turn, 9)) {
                    Ok(record) => records.lock().unwrap().extend(record),
                    Err(_) => *died.lock().unwrap() += 1,
                }
            }
        });
    }
    let schedule = interleaving.run();
    Played { schedule, records: records.into_inner().unwrap(), died: died.into_inner().unwrap() }
}

/// A turn after every lease has ended: its record shows what the session has spent and holds.
fn probe(world: &Fixture, seed: u64) -> DecisionRecord {
    world.host.clock().advance_ms(LEASE_MS + 1);
    let record = play(world, 0, &format!("hot-{seed}"), 8).expect("no crash is planned");
    record.expect("every LLM call has a record")
}

fn charged(records: &[DecisionRecord]) -> u64 {
    records.iter().map(|record| record.charged_nano_usd.0).sum()
}

#[test]
fn no_schedule_overspends_or_loses_money() {
    let world = world();
    let money = || {
        ["granted", "settled", "refunded", "expired"].map(|name| world.counter(&format!("{name}_nano_usd")))
    };
    let (mut refused, mut refunded) = (0, 0);
    let tried = search(0..schedules(), |seed| {
        let before = money();
        let Played { schedule, records, .. } = interleave(&world, seed, None);
        let after = money();
        let [granted, settled, refunded_nano_usd, expired] = std::array::from_fn(|k| after[k] - before[k]);
        let wrong = |what: &str| Err(format!("{what}\n{schedule}"));
        if records.len() != WORKERS * TURNS_PER_WORKER {
            return wrong(&format!("{} records", records.len()));
        }
        if charged(&records) > BUDGET_NANO_USD {
            return wrong(&format!("charged {} of {BUDGET_NANO_USD}", charged(&records)));
        }
        // Every turn has ended, so nothing is outstanding.
        if granted != settled + refunded_nano_usd + expired || expired != 0 {
            return wrong(&format!(
                "granted {granted}, settled {settled}, refunded {refunded_nano_usd}, {expired}"
            ));
        }
        refused += records.iter().filter(|record| record.outcome == "refused").count();
        refunded += records.iter().filter(|record| record.outcome == "refunded").count();
        let session = probe(&world, seed);
        if session.spent_nano_usd.0 != charged(&records) || session.outstanding_nano_usd.0 != 0 {
            return wrong(&format!("the session is {session:?}"));
        }
        Ok(())
    });
    tried.unwrap_or_else(|failing| panic!("{failing}"));
    let conflicts = world.counter("cas_conflicts");
    assert!(conflicts > schedules() / 10, "only {conflicts} conflicts");
    assert!(refused > 0 && refunded > 0, "{refused} refused, {refunded} refunded");
}

#[test]
fn no_schedule_with_crashes_overspends_or_keeps_money_back() {
    let world = world();
    let mut deaths = 0;
    let tried = search(0..schedules(), |seed| {
        let Played { schedule, records, died } = interleave(&world, seed, Some(80));
        deaths += died;
        let wrong = |what: &str| Err(format!("{what}\n{schedule}"));
        let session = probe(&world, seed);
        let spent = session.spent_nano_usd.0;
        // A worker that died after it had settled left a charge and no record.
        let most = charged(&records) + died as u64 * BUDGET_NANO_USD;
        if spent > BUDGET_NANO_USD || spent < charged(&records) || spent > most {
            return wrong(&format!("spent {spent}, charged {}, {died} died", charged(&records)));
        }
        if died == 0 && spent != charged(&records) {
            return wrong(&format!("spent {spent}, charged {}", charged(&records)));
        }
        if session.outstanding_nano_usd.0 != 0 {
            return wrong(&format!(
                "all leases have ended, but {} nano-USD are outstanding",
                session.outstanding_nano_usd.0
            ));
        }
        Ok(())
    });
    tried.unwrap_or_else(|failing| panic!("{failing}"));
    assert!(deaths > 0, "no worker died");
    assert!(world.vms.iter().all(|vm| vm.reloads() > 0));
}

#[test]
fn a_schedule_repeats_call_by_call() {
    let steps = |seed| {
        let world = world();
        assert_eq!(world.host.clock().now_ms(), START_MS);
        interleave(&world, seed, Some(80)).schedule.steps
    };
    assert_eq!(steps(5), steps(5));
    assert_ne!(steps(5), steps(6));
}
