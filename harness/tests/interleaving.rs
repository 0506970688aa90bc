//! Races: the search finds the race of a plugin that has one, and passes a plugin that has none.

mod common;

use common::{REQUEST, host, module};
use seqroute_harness::{
    FailingSeed, FailurePolicy, Host, Interleaving, Module, Plugin, Schedule, SharedData, Vm, VmOptions,
    search,
};

const WORKERS: u32 = 2;

/// Increments the number under "n". `create` and `update` choose the compare-and-swap number for writing it back, and
/// whether to retry after a mismatch.
fn counter(create: &str, update: &str) -> Module {
    module(&format!(
        r#"
  (data (i32.const 0) "n")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $cas i32)
    (loop $again
      (if (i32.eqz (call $get_shared
            (i32.const 0) (i32.const 1) (i32.const 4000) (i32.const 4004) (i32.const 4020)))
        (then
          (i32.store (i32.const 16) (i32.add (i32.const 1) (i32.load (i32.load (i32.const 4000)))))
          (local.set $cas {update}))
        (else
          (i32.store (i32.const 16) (i32.const 1))
          (local.set $cas {create})))
      (br_if $again (i32.eq (i32.const 8) (call $set_shared
        (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 4) (local.get $cas)))))
    i32.const 0)"#
    ))
}

const THE_NUMBER_READ: &str = "(i32.load (i32.const 4020))";
const MADE_UP: &str = "(i32.const -1)";
const BLIND: &str = "(i32.const 0)";

struct World {
    host: Host,
    vms: Vec<Vm>,
    plugins: Vec<Plugin>,
}

impl World {
    fn new(module: &Module, failure_policy: FailurePolicy) -> World {
        let host = host();
        let options = || VmOptions { vm_id: "v".into(), failure_policy, ..VmOptions::default() };
        let vms: Vec<Vm> = (0..WORKERS).map(|_| host.vm(module, options()).unwrap()).collect();
        let plugins = vms.iter().map(|vm| vm.plugin("", b"").unwrap()).collect();
        World { host, vms, plugins }
    }

    fn number(&self) -> u32 {
        let value = self.host.shared_data("v").get("n").map(|(value, _)| value).unwrap_or_default();
        value.try_into().map(u32::from_le_bytes).unwrap_or(0)
    }

    /// Sends one request per worker, in an order drawn from the seed.
    fn requests(&self, seed: u64, crash_one_in: Option<u32>) -> Schedule {
        let mut interleaving = Interleaving::new(seed);
        if let Some(calls) = crash_one_in {
            interleaving = interleaving.crash_one_in(calls);
        }
        for plugin in &self.plugins {
            interleaving = interleaving.task(|| {
                let mut stream = plugin.stream();
                match stream.request_headers(&REQUEST, true) {
                    Ok(_) => stream.finish().unwrap(),
                    Err(_) => stream.abandon(),
                }
            });
        }
        interleaving.run()
    }
}

/// Searches for a schedule that loses an increment, starting from an existing number.
fn search_lost_updates(module: &Module, schedules: u64) -> Result<u64, FailingSeed> {
    let world = World::new(module, FailurePolicy::Closed);
    let data: SharedData = world.host.shared_data("v");
    search(0..schedules, |seed| {
        data.set("n", 0u32.to_le_bytes(), 0).unwrap();
        let schedule = world.requests(seed, None);
        match world.number() {
            WORKERS => Ok(()),
            number => Err(format!("{number} instead of {WORKERS}\n{schedule}")),
        }
    })
}

/// Searches for a schedule that loses an increment, starting without a number.
fn search_lost_creation(module: &Module, schedules: u64) -> Result<u64, FailingSeed> {
    search(0..schedules, |seed| {
        let world = World::new(module, FailurePolicy::Closed);
        let schedule = world.requests(seed, None);
        match world.number() {
            WORKERS => Ok(()),
            number => Err(format!("{number} instead of {WORKERS}\n{schedule}")),
        }
    })
}

#[test]
fn a_blind_write_back_is_caught_within_a_thousand_schedules() {
    let racy = counter(MADE_UP, BLIND);
    let found = search_lost_updates(&racy, 1_000).unwrap_err();
    assert!(found.message.contains("1 instead of 2"), "{found}");
    assert!(found.message.contains("1: proxy_get_shared_data"), "the message has no order: {found}");
}

#[test]
fn a_blind_creation_is_caught_within_a_thousand_schedules() {
    let racy = counter(BLIND, THE_NUMBER_READ);
    search_lost_updates(&racy, 200).unwrap();
    search_lost_creation(&racy, 1_000).unwrap_err();
}

#[test]
fn compare_and_swap_passes_every_schedule() {
    let correct = counter(MADE_UP, THE_NUMBER_READ);
    assert_eq!(search_lost_updates(&correct, 3_000), Ok(3_000));
    assert_eq!(search_lost_creation(&correct, 300), Ok(300));
}

#[test]
#[ignore = "100,000 schedules; cargo test --release -p seqroute-harness --test interleaving -- --ignored"]
fn compare_and_swap_passes_a_hundred_thousand_schedules() {
    let correct = counter(MADE_UP, THE_NUMBER_READ);
    assert_eq!(search_lost_updates(&correct, 100_000), Ok(100_000));
}

#[test]
fn a_seed_reproduces_the_order() {
    let module = counter(MADE_UP, THE_NUMBER_READ);
    let order = |seed| World::new(&module, FailurePolicy::Closed).requests(seed, None).steps;
    assert_eq!(order(11), order(11));
    assert!((0..20).any(|seed| order(seed) != order(11)), "seeds differ in something");
}

#[test]
fn the_seed_determines_crashes_too() {
    let module = counter(MADE_UP, THE_NUMBER_READ);
    let world = World::new(&module, FailurePolicy::Reload);
    let mut crashes = 0;
    for seed in 0..200 {
        world.host.shared_data("v").set("n", 0u32.to_le_bytes(), 0).unwrap();
        let schedule = world.requests(seed, Some(5));
        let crashed = schedule.steps.iter().filter(|call| call.crashed).count() as u32;
        // A crash happens before the write of the task that it hits.
        assert_eq!(world.number(), WORKERS - crashed, "{schedule}");
        crashes += crashed;
    }
    assert!((40..160).contains(&crashes), "{crashes}");
    assert!(world.vms.iter().all(|vm| vm.reloads() > 0));
}

#[test]
fn tasks_of_one_vm_take_turns() {
    let world = World::new(&counter(MADE_UP, THE_NUMBER_READ), FailurePolicy::Closed);
    for seed in 0..50 {
        world.host.shared_data("v").set("n", 0u32.to_le_bytes(), 0).unwrap();
        let mut interleaving = Interleaving::new(seed);
        for _ in 0..3 {
            interleaving = interleaving.task(|| {
                let mut stream = world.plugins[0].stream();
                stream.request_headers(&REQUEST, true).unwrap();
                stream.finish().unwrap();
            });
        }
        interleaving.run();
        assert_eq!(world.number(), 3);
    }
}

#[test]
fn a_panic_in_a_task_ends_the_run_and_not_the_others() {
    let world = World::new(&counter(MADE_UP, THE_NUMBER_READ), FailurePolicy::Closed);
    let plugin = &world.plugins[0];
    let run = || {
        Interleaving::new(1)
            .task(|| panic!("of the test"))
            .task(|| {
                let mut stream = plugin.stream();
                stream.request_headers(&REQUEST, true).unwrap();
                stream.finish().unwrap();
            })
            .run()
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    assert_eq!(world.number(), 1);
}
