//! Budgets under more turns at once than a scenario holds, on real threads, and under faults of shared data.

use seqroute_core::config::Config;
use seqroute_tests::support::chat::chat;
use seqroute_tests::support::settings;
use serde_json::json;

use crate::support::{Fixture, Turn};

/// A large turn of 134 × 3 + 100 × 15 USD per million tokens = 0.001902 USD.
fn request(world: &Fixture, worker: usize, budget_usd: &str) -> Turn {
    let headers: [(&str, &[u8]); 2] =
        [("x-session-id", b"shared"), ("x-seqroute-budget-usd", budget_usd.as_bytes())];
    world.request_with(worker, &headers, chat(400, 100).as_bytes())
}

/// Ends a turn at all that it reserved, and returns what was charged.
fn answer(mut turn: Turn) -> u64 {
    if turn.refused.is_none() {
        turn.answer_json(134, 100);
    }
    turn.end().expect("every LLM request has a record").charged_nano_usd.0
}

#[test]
fn parallel_turns_of_one_session_over_many_workers_cannot_overspend() {
    let world = Fixture::new(4, &settings::plugin(json!("best_affordable")));
    let turns: Vec<Turn> = (0..64).map(|k| request(&world, k % 4, "0.01")).collect();
    let granted = turns.iter().filter(|turn| turn.refused.is_none()).count();
    let outstanding = world.outstanding_nano_usd("");
    assert!(granted < 64 && outstanding <= 10_000_000, "{granted} turns, {outstanding}");
    let spent: u64 = turns.into_iter().map(answer).sum();
    assert!(spent <= 10_000_000, "{spent}");
    assert_eq!(world.outstanding_nano_usd(""), 0);
}

#[test]
fn workers_on_real_threads_cannot_overspend() {
    let world = Fixture::new(4, &settings::plugin(json!("best_affordable")));
    let spent: u64 = std::thread::scope(|scope| {
        let world = &world;
        let turns = |worker: usize| (0..16).map(|_| answer(request(world, worker, "0.02"))).sum::<u64>();
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || turns(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(spent <= 20_000_000 && spent > 18_000_000, "{spent}");
    assert_eq!(world.outstanding_nano_usd(""), 0);
}

#[test]
fn a_lost_race_is_decided_again() {
    let world = Fixture::new(1, &settings::plugin(json!("best_affordable")));
    world.host.shared_data("seqroute").force_cas_mismatch(3);
    let turn = request(&world, 0, "0.01");
    assert!(turn.refused.is_none());
    assert_eq!(world.counter("cas_conflicts"), 3);
    turn.end();
}

#[test]
fn memory_of_the_table_is_bounded_whatever_clients_send() {
    let mut settings = settings::plugin(json!({"always": "small"}));
    settings["ledger"] =
        json!({"buckets": 8, "sessions_per_bucket": 4, "evicted_per_bucket": 4, "on_full": "evict_idle"});
    let config = Config::from_json(settings.to_string().as_bytes()).unwrap();
    let world = Fixture::new(1, &settings);
    for k in 0..2000 {
        world.turn(0, &format!("session-{k}"), &chat(200, 10), 50, 5);
    }
    let shared = world.host.shared_data("seqroute");
    assert_eq!(shared.len(), 8);
    let most = seqroute_core::ledger::size::max_session_bytes(&config.ledger);
    assert!((shared.byte_size() as u64) < most, "{} of {most} bytes", shared.byte_size());
    let [created, restored, evicted] =
        ["created", "restored", "evicted"].map(|name| world.counter(&format!("sessions_{name}")));
    assert_eq!((created + restored - evicted, world.counter("sessions_forgotten")), (32, 2000 - 32 - 32));
}
