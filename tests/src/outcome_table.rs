//! The outcome table of `envoy/README.md` as data.
//!
//! Scenarios and tests name the row that a turn is an example of. Whatever they expect themselves, the turn must then
//! also show what the table promises: the status, the record and its outcome, a charge or none, and the counters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use seqroute_core::counters::Counter;
use serde_json::Value;

use crate::scenario::format::{Expect, Number, World};
use crate::scenario::seen::TurnSeen;

/// The heading of the table's section.
const HEADING: &str = "## How a turn ends";
/// The outcomes that a record can have.
const OUTCOMES: [&str; 4] = ["settled", "estimated", "refunded", "refused"];
/// The counter that rises where the lease of a turn expires.
const EXPIRED: &str = "expired_nano_usd";

/// A row: one way for a turn to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The one world that can play it, where the other cannot.
    pub only: Option<World>,
    statuses: Vec<Status>,
    record: Record,
    charge: Charge,
    counters: Vec<String>,
}

/// What the client may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    None,
    Class(u16),
    Exactly(u16),
}

/// What the decision record says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    Absent,
    /// One of these outcomes.
    Outcome(Vec<String>),
    /// As in the row that the turn would be without this one.
    AsOtherwise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charge {
    Nothing,
    Something,
    /// The record does not show it.
    Unseen,
}

/// The table.
///
/// # Panics
/// When the README holds something that this module does not understand.
pub fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/README.md");
        let text = std::fs::read_to_string(&file).expect("envoy/README.md is readable");
        parse(&text).expect("the outcome table of envoy/README.md")
    });
    &ROWS
}

/// The row of this name.
///
/// # Errors
/// When there is none.
pub fn row(name: &str) -> Result<&'static Row> {
    rows().iter().find(|row| row.name == name).with_context(|| format!("row: the table has no `{name}`"))
}

impl Row {
    /// What of a turn contradicts this row, line by line.
    #[must_use]
    pub fn check(&self, seen: &TurnSeen) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut unless = |right: bool, what: &str, found: &dyn std::fmt::Debug| {
            if !right {
                wrong.push(format!(
                    "{what}: found {found:?}, which is not `{}` in envoy/README.md",
                    self.name
                ));
            }
        };
        let status = self.statuses.is_empty() || self.statuses.iter().any(|wanted| wanted.is(seen.status));
        unless(status, "status", &seen.status);
        let field = |name: &str| seen.record.as_ref().and_then(|record| record.get(name));
        match &self.record {
            Record::Absent => unless(seen.record.is_none(), "record", &seen.record),
            Record::AsOtherwise => unless(seen.record.is_some(), "record", &seen.record),
            Record::Outcome(outcomes) => {
                let outcome = field("outcome").and_then(Value::as_str);
                let known = outcome.is_some_and(|found| outcomes.iter().any(|outcome| outcome == found));
                unless(known, "outcome", &outcome);
            }
        }
        let charged = field("charged_nano_usd").and_then(Value::as_u64);
        match self.charge {
            Charge::Nothing => unless(charged == Some(0), "charged", &charged),
            Charge::Something => unless(charged > Some(0), "charged", &charged),
            Charge::Unseen => {}
        }
        wrong
    }

    /// What of the counters contradicts this row.
    #[must_use]
    pub fn check_counters(&self, risen: &BTreeMap<String, u64>) -> Vec<String> {
        let missing =
            self.counters.iter().filter(|counter| risen.get(*counter).is_none_or(|rise| *rise == 0));
        missing.map(|counter| format!("counter {counter}: found 0, `{}` raises it", self.name)).collect()
    }

    /// Whether a scenario states what the row leaves to the example: the charge.
    ///
    /// # Errors
    /// When it does not.
    pub fn is_stated_by(&self, expect: &Expect) -> Result<()> {
        let stated = match self.charge {
            Charge::Something => matches!(expect.charged, Some(Number::Exactly(_))),
            Charge::Nothing | Charge::Unseen => true,
        };
        ensure!(stated, "row `{}`: found no `charged`, expected the exact one", self.name);
        Ok(())
    }
}

impl Status {
    fn is(self, found: u16) -> bool {
        match self {
            Status::None => found == 0,
            Status::Class(hundreds) => found / 100 == hundreds,
            Status::Exactly(status) => found == status,
        }
    }
}

fn parse(readme: &str) -> Result<Vec<Row>> {
    let (_, section) = readme.split_once(HEADING).with_context(|| format!("no heading `{HEADING}`"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        rows.push(parse_row(line).with_context(|| line.to_owned())?);
    }
    for line in section.lines().filter_map(|line| line.strip_prefix("- `")) {
        let (name, exception) = line.split_once("`: ").with_context(|| line.to_owned())?;
        let (world, reason) = exception.split_once(" only, because ").with_context(|| line.to_owned())?;
        let row = rows.iter_mut().find(|row| row.name == name).with_context(|| line.to_owned())?;
        row.only = match world {
            "harness" => Some(World::Harness),
            "Envoy" => Some(World::Envoy),
            _ => bail!("{line}: found `{world}`, expected `harness` or `Envoy`"),
        };
        ensure!(!reason.is_empty(), "{line}: found no reason");
    }
    Ok(rows)
}

fn parse_row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let &[name, _, status, outcome, charged] = cells.as_slice() else {
        bail!("found {} cells, expected 5", cells.len())
    };
    let record = parse_record(outcome)?;
    let charge = match (&record, charged) {
        (Record::Outcome(_), charged) if charged.starts_with('0') => Charge::Nothing,
        (Record::Outcome(_), _) => Charge::Something,
        (Record::Absent | Record::AsOtherwise, _) => Charge::Unseen,
    };
    let mut counters = Vec::new();
    if let Some((_, counted)) = outcome.split_once("counted as ") {
        let counter = quoted(counted).next().context("found no counter after `counted as`")?;
        ensure!(Counter::ALL.iter().any(|known| known.name() == counter), "no counter `{counter}`");
        counters.push(counter.to_owned());
    }
    if outcome.contains("the lease expires") {
        counters.push(EXPIRED.to_owned());
    }
    let statuses = parse_statuses(status)?;
    Ok(Row { name: name.trim_matches('`').to_owned(), only: None, statuses, record, charge, counters })
}

fn parse_statuses(cell: &str) -> Result<Vec<Status>> {
    let parse = |text: &str| match (text, text.strip_suffix("xx")) {
        ("none", _) => Ok::<_, anyhow::Error>(Status::None),
        (_, Some(hundreds)) => Ok(Status::Class(hundreds.parse()?)),
        (_, None) => Ok(Status::Exactly(text.parse()?)),
    };
    if cell == "any" {
        return Ok(Vec::new());
    }
    cell.split(", ").map(|text| parse(text).with_context(|| format!("status `{text}`"))).collect()
}

fn parse_record(cell: &str) -> Result<Record> {
    if cell.starts_with("no record") {
        return Ok(Record::Absent);
    }
    if cell.starts_with("as above") {
        return Ok(Record::AsOtherwise);
    }
    let outcomes: Vec<String> = quoted(cell).map(str::to_owned).collect();
    let known = outcomes.iter().all(|outcome| OUTCOMES.contains(&outcome.as_str()));
    ensure!(!outcomes.is_empty() && known, "found {outcomes:?}, expected some of {OUTCOMES:?}");
    Ok(Record::Outcome(outcomes))
}

/// The words in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const README: &str = "# x\n\n## How a turn ends\n\n\
        | row | what happened | status | `outcome` in the record | charged |\n|---|---|---|---|---|\n\
        | `good` | it went well | 2xx | `settled`, or `estimated` | the usage |\n\
        | `bad` | it did not | none, 503 | `refunded` | 0 |\n\
        | `odd` | who knows | any | as above, counted as `store_errors`; the lease expires | 0 |\n\n\
        - `odd`: harness only, because it is odd.\n\n## Next\n\n| `other` | table |\n";

    fn turn(status: u16, outcome: &str, charged: u64) -> TurnSeen {
        let record = json!({"outcome": outcome, "charged_nano_usd": charged});
        TurnSeen { status, record: Some(record), ..TurnSeen::default() }
    }

    #[test]
    fn a_turn_is_held_against_every_cell_of_its_row() {
        let rows = parse(README).unwrap();
        let [good, bad, odd] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((good.only, bad.only, odd.only), (None, None, Some(World::Harness)));
        assert_eq!(good.check(&turn(201, "estimated", 1)), [""; 0]);
        assert_eq!(good.check(&turn(301, "refunded", 0)).len(), 3);
        assert_eq!(bad.check(&turn(0, "refunded", 0)), [""; 0]);
        assert_eq!(bad.check(&turn(503, "refunded", 0)), [""; 0]);
        assert_eq!(bad.check(&turn(504, "settled", 1)).len(), 3);
        assert_eq!(odd.check(&TurnSeen::default()).len(), 1);
        assert_eq!(odd.check_counters(&BTreeMap::from([("store_errors".to_owned(), 1)])).len(), 1);
    }

    #[test]
    fn a_charge_must_be_stated_exactly() {
        let rows = parse(README).unwrap();
        assert!(rows[0].is_stated_by(&Expect::default()).is_err());
        let charged = Some(Number::Exactly(1));
        assert!(rows[0].is_stated_by(&Expect { charged, ..Expect::default() }).is_ok());
        assert!(rows[1].is_stated_by(&Expect::default()).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (from, to) in [("2xx", "fine"), ("`settled`", "`paid`"), ("`store_errors`", "`errors`")] {
            assert!(parse(&README.replace(from, to)).is_err(), "{to}");
        }
        assert!(parse(&README.replace("harness only", "nowhere only")).is_err());
    }
}
