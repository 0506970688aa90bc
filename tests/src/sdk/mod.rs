//! `make sdk`: the official client libraries through the shipped filter in a real Envoy, against strict model servers.
//!
//! Each library has a script in `tests/sdk/`, a list of small cases with assertions on what the library returns. A case is a session
//! of its own, named by the header that operators give their clients, and an account of its own at the model servers, named in
//! its prompts. A case is right if
//!
//! - its assertions hold,
//! - the servers refused nothing, and the filter nothing, but what the case is about, so that no retry hides a fault,
//! - the decision records charge what the servers bill, to the nano-USD; not less, where the answer was left early.
//!
//! [`server`] says what the servers refuse and bill, [`findings`] which cases are known to be wrong.

pub mod findings;
mod gateway;
mod models;
mod played;
mod scripts;
pub mod server;
mod table;

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::stream::{self, StreamExt, TryStreamExt};

pub use played::{Played, Verdict};
pub use scripts::missing;
pub use table::Table;

/// How long decision records may take to be written.
const RECORDS: Duration = Duration::from_secs(20);
/// Scripts that run at once.
const AT_ONCE: usize = 2;
/// How often they are read while waiting.
const POLL: Duration = Duration::from_millis(50);

/// Plays the scripts whose name contains `only`; all of them if it is empty.
///
/// # Errors
/// When Envoy does not start, or a script does not come to its end.
pub async fn run(only: &str) -> Result<Table> {
    let gateway = gateway::Gateway::start().await?;
    let wanted = scripts::ALL.iter().filter(|script| script.name.contains(only));
    let played = stream::iter(wanted.map(|script| script.play(&gateway))).buffered(AT_ONCE);
    let cases = played.try_collect::<Vec<_>>().await?.concat();
    let deadline = Instant::now() + RECORDS;
    loop {
        let charged = gateway.charged()?;
        let bill = gateway.bill();
        let played: Vec<Played> =
            cases.iter().map(|case| Played::new(case.clone(), &bill, &charged, gateway::SALT)).collect();
        if played.iter().all(Played::is_settled) || Instant::now() > deadline {
            gateway.stop().await;
            return Ok(Table { played });
        }
        tokio::time::sleep(POLL).await;
    }
}
