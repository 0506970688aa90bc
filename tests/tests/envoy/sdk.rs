//! The official client libraries, as `make sdk` plays them, against an Envoy of their own.
//!
//! Without the libraries (`make sdk-install`, which leaves them out where Python or Node is missing) or without Envoy the test
//! prints that it was skipped, and passes.

use seqroute_tests::sdk::{missing, run};
use tokio::runtime::Runtime;

#[test]
fn official_client_libraries_get_right_answers_at_the_right_charge() {
    if let Some(missing) = missing() {
        eprintln!("skipped: {missing}");
        return;
    }
    let table = Runtime::new().unwrap().block_on(run("")).unwrap();
    let wrong = table.wrong();
    assert!(wrong.is_empty(), "{}\n\n{table}", wrong.join("\n"));
}
