//! What the filter says that it charged: its decision records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result};
use seqroute_core::money::NanoUsd;
use serde::Deserialize;

use super::gateway::Gateway;
use super::world::World;

/// The members of a decision record that count here. A record of a refusal may be shorter.
#[derive(Deserialize)]
struct Record {
    session: Option<String>,
    chosen: Option<String>,
    charged_nano_usd: Option<NanoUsd>,
    reserved_nano_usd: Option<NanoUsd>,
    outcome: Option<String>,
    status: Option<u32>,
}

impl Record {
    /// What a turn had reserved whose client left before any answer, and did not pay.
    fn forgiven(&self) -> NanoUsd {
        let left = self.status.is_none() && self.outcome.as_deref() == Some("refunded");
        self.reserved_nano_usd.filter(|_| left).unwrap_or_default()
    }
}

/// What was charged to one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// The sum.
    pub charged: NanoUsd,
    /// Turns that were sent to a model.
    pub turns: u64,
    /// The largest reservation of a turn that was not paid because its client left before any answer.
    pub forgiven: NanoUsd,
}

/// The name of the account of all turns without a session id.
pub const WITHOUT_SESSION: &str = "without-session";

/// Reads the records of all listeners, summed by account.
///
/// # Errors
/// When a file cannot be read, or a line is no record.
pub fn read(gateway: &Gateway, world: &World) -> Result<BTreeMap<String, Charged>> {
    let mut accounts = BTreeMap::<String, Charged>::new();
    for listener in &gateway.listeners {
        let path = gateway.decision_log(*listener);
        let Ok(file) = File::open(&path) else { continue };
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let record: Record = serde_json::from_slice(&line).with_context(|| {
                format!("{}: no record: {}", path.display(), String::from_utf8_lossy(&line))
            })?;
            line.clear();
            let forgiven = record.forgiven();
            let account = match record.session {
                Some(session) => world.account_of(&session).unwrap_or_else(|| format!("unknown-{session}")),
                None => WITHOUT_SESSION.to_owned(),
            };
            let entry = accounts.entry(account).or_default();
            entry.charged = entry.charged.saturating_add(record.charged_nano_usd.unwrap_or_default());
            entry.turns += u64::from(record.chosen.is_some());
            entry.forgiven = entry.forgiven.max(forgiven);
        }
    }
    Ok(accounts)
}

/// Bytes of all records so far.
#[must_use]
pub fn bytes(gateway: &Gateway) -> u64 {
    let size = |listener: &_| std::fs::metadata(gateway.decision_log(*listener)).map_or(0, |file| file.len());
    gateway.listeners.iter().map(size).sum()
}
