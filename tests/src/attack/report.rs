//! The figures of a run, for people.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::Table;
use seqroute_core::money::NanoUsd;

use super::honest::Experience;
use super::judge::Row;
use super::kinds::is_open;

/// Envoy's count of VMs that crashed and were loaded again.
pub const RELOADS: &str = "vm_reload_success";
/// Honest clients may wait this many times longer next to attackers than next to as many honest clients.
const MOST_SLOWDOWN: f64 = 2.0;
/// How honest clients are refused while a kind that fills tables is open.
const NO_ROOM: &str = "503 session_table_unavailable";
/// Below this many turns a p99 says nothing.
const LEAST_TURNS: usize = 200;

/// A run's result.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// A row for each kind.
    pub kinds: Vec<Row>,
    /// The honest sessions.
    pub honest: Row,
    /// Honest clients alone.
    pub alone: Experience,
    /// Honest clients next to as many other honest clients as there are campaigns at once.
    pub crowd: Experience,
    /// Honest clients next to attackers.
    pub attacked: Experience,
    /// Budget of a session.
    pub budget: NanoUsd,
    /// Error of one turn in flight.
    pub per_turn: NanoUsd,
    /// Seconds of the attack.
    pub seconds: f64,
    /// Bytes of decision records.
    pub record_bytes: u64,
    /// Counters of the filter that say that something went wrong in it.
    pub counters: Vec<(String, u64)>,
}

impl Report {
    /// The bars that were missed; empty for a filter that holds.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let rows = || self.kinds.iter().chain([&self.honest]);
        let over: u64 = rows().map(|row| row.over).sum();
        let unaccounted: u64 = rows().map(|row| row.unaccounted).sum();
        let damage: u64 = rows().map(|row| row.leaks + row.seen.harms).sum();
        if over > 0 {
            missed.push(format!("{over} sessions were billed or charged beyond what is allowed"));
        }
        if unaccounted > 0 {
            missed.push(format!("{unaccounted} paid calls were not accounted"));
        }
        if damage > 0 {
            missed.push(format!("{damage} leaks and harms"));
        }
        let refused = self.attacked.refusals();
        if refused > 0 {
            missed.push(format!("{refused} honest turns were refused: {:?}", self.attacked.refused));
        }
        let (before, after) = (self.crowd.quantile_ms(0.99), self.attacked.quantile_ms(0.99));
        let enough = self.crowd.latencies_us.len().min(self.attacked.latencies_us.len()) >= LEAST_TURNS;
        if enough && after > MOST_SLOWDOWN * before {
            missed.push(format!("the honest p99 went from {before:.1} to {after:.1} ms"));
        }
        for (name, count) in self.counters.iter().filter(|(name, count)| name == RELOADS && *count > 0) {
            missed.push(format!("{name}: {count}, so the filter crashed"));
        }
        missed
    }

    /// What differs from the list of kinds that are known to break the promise; the latency of honest clients apart.
    #[must_use]
    pub fn differs_from_list(&self) -> Vec<String> {
        let mut differs = Vec::new();
        for row in self.kinds.iter().filter(|row| row.campaigns > 0) {
            let faults = row.faults();
            match (is_open(&row.name), faults.is_empty()) {
                (false, false) => differs.push(format!("{} breaks: {}", row.name, faults.join(", "))),
                (true, true) => {
                    differs.push(format!("{} holds: take it off the list of open kinds", row.name))
                }
                _ => {}
            }
        }
        let no_room = self.kinds.iter().any(|row| row.name.ends_with("table_fill") && is_open(&row.name));
        for (reason, count) in &self.attacked.refused {
            if !(no_room && reason == NO_ROOM) {
                differs.push(format!("{count} honest turns were refused: {reason}"));
            }
        }
        if self.attacked.latencies_us.is_empty() {
            differs.push("no honest turn was answered".to_owned());
        }
        let honest = self.honest.faults();
        differs.extend(honest.into_iter().map(|fault| format!("honest sessions: {fault}")));
        let reloads = self.counters.iter().filter(|(name, count)| name == RELOADS && *count > 0);
        differs.extend(reloads.map(|(name, count)| format!("{name}: {count}, so the filter crashed")));
        differs
    }

    /// Refusals of hostile turns by reason.
    fn reasons(&self) -> BTreeMap<&str, u64> {
        let mut reasons = BTreeMap::new();
        for (reason, count) in self.kinds.iter().flat_map(|row| &row.seen.reasons) {
            *reasons.entry(reason.as_str()).or_default() += count;
        }
        reasons
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turns: u64 = self.kinds.iter().map(|row| row.seen.turns).sum();
        writeln!(
            f,
            "{turns} hostile turns in {:.0} s; budget {} USD, bounded error {} USD for each turn in flight, {:.0} bytes of records a turn",
            self.seconds,
            self.budget,
            self.per_turn,
            self.record_bytes as f64 / turns.max(1) as f64
        )?;
        let mut table = Table::new();
        table.set_header([
            "kind",
            "case",
            "sessions",
            "turns",
            "served",
            "refused",
            "billed USD",
            "charged USD",
            "worst, budgets",
            "verdict",
        ]);
        for row in self.kinds.iter().chain([&self.honest]).filter(|row| row.campaigns > 0) {
            let faults = row.faults();
            table.add_row([
                row.name.clone(),
                row.case.clone(),
                row.campaigns.to_string(),
                row.seen.turns.to_string(),
                row.seen.served.to_string(),
                row.seen.refused.to_string(),
                format!("{:.4}", row.billed.as_usd()),
                row.charged.map_or("–".to_owned(), |charged| format!("{:.4}", charged.as_usd())),
                format!("{:.2}", row.worst_budgets),
                if faults.is_empty() {
                    "holds".to_owned()
                } else {
                    format!(
                        "BROKEN{}: {}",
                        if is_open(&row.name) { " (known)" } else { "" },
                        faults.join(", ")
                    )
                },
            ]);
        }
        writeln!(f, "{table}")?;
        for row in self.kinds.iter().filter(|row| row.unaccounted > 0) {
            let paths: Vec<_> =
                row.unaccounted_paths.iter().map(|(path, count)| format!("{path} ×{count}")).collect();
            writeln!(f, "paid paths of {}: {}", row.name, paths.join(", "))?;
        }
        writeln!(f, "refusals of hostile turns: {:?}", self.reasons())?;
        for (name, seen) in
            [("alone", &self.alone), ("in a crowd", &self.crowd), ("attacked", &self.attacked)]
        {
            writeln!(
                f,
                "honest clients {name}: {} turns, p50 {:.1} ms, p99 {:.1} ms, {} refused {:?}",
                seen.latencies_us.len(),
                seen.quantile_ms(0.5),
                seen.quantile_ms(0.99),
                seen.refusals(),
                seen.refused
            )?;
        }
        for (name, count) in &self.counters {
            writeln!(f, "{name}: {count}")?;
        }
        match self.missed().as_slice() {
            [] => write!(f, "The cap holds."),
            missed => write!(f, "The cap does not hold:\n- {}", missed.join("\n- ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::kinds;

    #[test]
    fn a_kind_that_breaks_unlisted_and_a_listed_one_that_holds_differ_from_the_list() {
        let all = kinds::all();
        let row = |open: bool, over: u64| {
            let kind = all.iter().find(|kind| is_open(kind.name) == open);
            kind.map(|kind| Row { name: kind.name.to_owned(), campaigns: 1, over, ..Row::default() })
        };
        let differs = |open, over| {
            let attacked = Experience { latencies_us: vec![1], ..Experience::default() };
            let kinds = row(open, over).into_iter().collect();
            let report = Report { kinds, attacked, ..Report::default() };
            report.differs_from_list().len()
        };
        assert_eq!((differs(false, 0), differs(false, 1)), (0, 1));
        let listed = all.iter().filter(|kind| is_open(kind.name)).count().min(1);
        assert_eq!((differs(true, 0), differs(true, 1)), (listed, 0));
    }

    #[test]
    fn an_honest_turn_that_is_refused_misses_a_bar() {
        let attacked = Experience { latencies_us: vec![1], refused: [("503".to_owned(), 1)].into() };
        let report = Report { attacked, ..Report::default() };
        assert_eq!((report.missed().len(), report.differs_from_list().len()), (1, 1));
        assert_eq!(Report::default().missed(), Vec::<String>::new());
    }
}
