//! A short `make attack`: every kind in each of its variants once, against an Envoy of its own.

use std::future::pending;

use seqroute_tests::attack::{Mix, Options, kinds, run};
use tokio::runtime::Runtime;

#[test]
fn exactly_the_kinds_that_are_listed_as_open_break_the_promise() {
    let options = Options {
        turns: u64::MAX,
        seconds: None,
        mix: Mix::EachVariant,
        concurrency: 16,
        seed: 1,
        kinds: kinds::all(),
        workers: 2,
        // The latency of honest clients is not judged here: other tests run beside it.
        calm_seconds: 0,
    };
    let report = Runtime::new().unwrap().block_on(run(&options, pending())).unwrap();
    let differs = report.differs_from_list();
    assert!(differs.is_empty(), "{}\n\n{report}", differs.join("\n"));
}
