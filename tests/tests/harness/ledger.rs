//! Budgets under concurrency, failures and crashes, through the compiled filter.

use crate::support::{Turn, World, chat};
use seqroute_core::config::Config;
use seqroute_tests::support::settings;
use serde_json::json;

fn world(workers: usize) -> World {
    World::new(workers, &settings::plugin(json!("best_affordable")))
}

fn budget(usd: &str) -> [(&'static str, Vec<u8>); 2] {
    [("x-session-id", b"shared".to_vec()), ("x-seqroute-budget-usd", usd.as_bytes().to_vec())]
}

fn request(world: &World, worker: usize, usd: &str) -> Turn {
    let headers = budget(usd);
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, &value[..])).collect();
    world.request_with(worker, &headers, chat(400, 100).as_bytes())
}

#[test]
fn parallel_turns_of_one_session_over_many_workers_cannot_overspend() {
    let world = world(4);
    // Each large turn reserves 134 × 3 + 100 × 15 USD per million tokens = 0.001902 USD.
    let turns: Vec<Turn> = (0..64).map(|k| request(&world, k % 4, "0.01")).collect();
    let granted = turns.iter().filter(|turn| turn.refused.is_none()).count();
    assert!(granted < 64 && world.outstanding() <= 10_000_000, "{granted} turns, {}", world.outstanding());
    let mut spent = 0;
    for mut turn in turns {
        if turn.refused.is_none() {
            turn.answer_json(134, 100);
        }
        spent += turn.end().unwrap().charged_nano_usd.0;
    }
    assert!(spent <= 10_000_000, "{spent}");
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn workers_on_real_threads_cannot_overspend() {
    let world = world(4);
    let spent: u64 = std::thread::scope(|scope| {
        let world = &world;
        let run = |worker: usize| {
            scope.spawn(move || {
                let mut spent = 0;
                for _ in 0..16 {
                    let mut turn = request(world, worker, "0.02");
                    if turn.refused.is_none() {
                        turn.answer_json(134, 100);
                    }
                    spent += turn.end().unwrap().charged_nano_usd.0;
                }
                spent
            })
        };
        let workers: Vec<_> = (0..4).map(run).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(spent <= 20_000_000 && spent > 18_000_000, "{spent}");
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn a_lost_race_is_decided_again() {
    let world = world(1);
    world.host.shared_data("seqroute").force_cas_mismatch(3);
    let turn = request(&world, 0, "0.01");
    assert!(turn.refused.is_none());
    assert_eq!(world.counter("cas_conflicts"), 3);
    turn.end();
}

#[test]
fn a_failed_answer_costs_nothing() {
    for status in ["400", "404", "429", "500", "503"] {
        let world = world(1);
        let mut turn = request(&world, 0, "0.01");
        turn.answer_headers(status, "application/json");
        turn.stream.response_body(crate::support::json_answer(90, 20), true).unwrap();
        let record = turn.end().unwrap();
        assert_eq!((record.outcome.as_str(), record.charged_nano_usd.0), ("refunded", 0), "{status}");
        assert_eq!(world.outstanding(), 0);
    }
}

#[test]
fn a_client_that_leaves_before_the_answer_pays_nothing() {
    let world = world(1);
    let record = request(&world, 0, "0.01").end().unwrap();
    assert_eq!((record.outcome.as_str(), record.status), ("refunded", None));
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn a_client_that_leaves_mid_stream_pays_for_what_it_got() {
    let world = world(1);
    let mut turn = request(&world, 0, "0.01");
    turn.answer_headers("200", "text/event-stream");
    turn.stream.response_body("data: {\"choices\":[{}]}\n\n".repeat(7), false).unwrap();
    let record = turn.end().unwrap();
    assert_eq!((record.outcome.as_str(), record.charged_nano_usd.0), ("estimated", 100 * 3000 + 7 * 15000));
}

#[test]
fn money_of_a_crashed_worker_comes_back_with_its_lease() {
    let world = world(2);
    // The whole budget is in flight in worker 0 when it dies.
    let mut turn = request(&world, 0, "0.002");
    assert!(turn.refused.is_none());
    world.vms[0].inject_trap_on_next_call();
    assert!(turn.stream.response_headers(&[(":status", "200")], false).is_err());
    turn.stream.abandon();
    assert!(world.outstanding() > 0);
    let small_rest = request(&world, 1, "0.002");
    assert!(small_rest.refused.is_none(), "the rest still pays for a small turn");
    small_rest.end();
    world.host.clock().advance_ms(10 * 60 * 1000);
    let record = request(&world, 1, "0.002").end().unwrap();
    assert_eq!(record.chosen.as_deref(), Some("large"));
    assert_eq!((record.outstanding_nano_usd.0, world.outstanding()), (0, 0));
    assert!(world.counter("expired_nano_usd") > 0);
}

#[test]
fn settled_money_survives_a_crash_and_a_reload() {
    let world = world(1);
    let first = world.turn(0, "chat-1", &chat(400, 100), 100, 50).unwrap();
    world.vms[0].inject_trap_on_next_call();
    let mut stream = world.stream(0);
    assert!(stream.request_headers(&[(":method", "GET"), (":path", "/")], true).is_err());
    stream.abandon();
    let second = world.turn(0, "chat-1", &chat(400, 100), 100, 50).unwrap();
    assert_eq!((second.spent_nano_usd, world.vms[0].reloads()), (first.charged_nano_usd, 1));
}

#[test]
fn memory_of_the_table_is_bounded_whatever_clients_send() {
    let mut settings = settings::plugin(json!({"always": "small"}));
    settings["ledger"] =
        json!({"buckets": 8, "sessions_per_bucket": 4, "evicted_per_bucket": 4, "on_full": "evict_idle"});
    let config = Config::from_json(settings.to_string().as_bytes()).unwrap();
    let world = World::new(1, &settings);
    for k in 0..2000 {
        world.turn(0, &format!("session-{k}"), &chat(200, 10), 50, 5);
    }
    let shared = world.host.shared_data("seqroute");
    assert_eq!(shared.len(), 8);
    let most = config.ledger.max_bytes();
    assert!((shared.byte_size() as u64) < most, "{} of {most} bytes", shared.byte_size());
    let [created, restored, evicted] =
        ["created", "restored", "evicted"].map(|name| world.counter(&format!("sessions_{name}")));
    assert_eq!((created + restored - evicted, world.counter("sessions_forgotten")), (32, 2000 - 32 - 32));
}
