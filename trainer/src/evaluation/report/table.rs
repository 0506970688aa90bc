//! The report as text: a table per measure, with a row per method and a column per budget.

use super::Report;
use crate::evaluation::measurement::{Comparison, Measurement};
use crate::evaluation::methods::MethodKind;
use seqroute_sessions::terminal;

/// The report as text.
#[must_use]
pub fn text(report: &Report) -> String {
    let head = format!(
        "{} sessions, {} turns. Budgets in percent of {:.6} USD, the mean cost of a session answered by `{}` alone.\n\
         Share of the sessions that `{}`, the cheapest model, finishes alone: {}.\n",
        report.sessions,
        report.turns,
        report.reference_cost_usd,
        report.strongest,
        report.cheapest,
        cheapest_line(report),
    );
    let all = |_: &MethodKind| true;
    let routers = |kind: &MethodKind| *kind != MethodKind::Bound;
    let blocks = [
        block("Quality per turn", measured(report, all, |line| format!("{:.4}", line.quality.value))),
        differences(report),
        block(
            "Cost, % of the mean cost of the strongest model alone",
            measured(report, all, |line| percent(line.cost_share)),
        ),
        block("Bankrupt sessions, %", measured(report, routers, |line| percent(line.bankrupt_share))),
        block(
            "Bankrupt sessions that always choosing the cheapest model finishes, %",
            measured(report, routers, |line| percent(line.avoidable_bankrupt_share)),
        ),
        block(
            "Return per session as in the paper: summed quality, minus 5 if bankrupt",
            measured(report, routers, |line| format!("{:.3}", line.return_per_session)),
        ),
        block("Turns whose answer was cut, %", measured(report, routers, |line| percent(line.cut_share))),
        block(
            "Served turns by the strongest model, %",
            measured(report, routers, |line| {
                percent(line.served_share_by_model.get(report.strongest_index).copied().unwrap_or(0.0))
            }),
        ),
        block("Tuned settings", settings(report)),
    ];
    std::iter::once(head).chain(blocks).filter(|block| !block.is_empty()).collect::<Vec<_>>().join("\n")
}

fn cheapest_line(report: &Report) -> String {
    let at = |(share, finished): (&f64, &f64)| format!("{} % at {}", percent(*finished), budget(*share));
    let pairs = budgets(report).into_iter().collect::<Vec<_>>();
    pairs.iter().zip(&report.finished_cheaply_share).map(at).collect::<Vec<_>>().join(", ")
}

/// Rows of one cell per budget.
type Rows = Vec<(String, Vec<String>)>;

fn block(title: &str, (header, rows): (Vec<String>, Rows)) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = terminal::table();
    table.set_header(std::iter::once(String::new()).chain(header.iter().cloned()));
    for (name, cells) in rows {
        table.add_row(std::iter::once(name).chain(cells));
    }
    terminal::align_right(&mut table, 1..=header.len());
    format!("{title}\n\n{table}\n")
}

fn measured(
    report: &Report,
    shown: impl Fn(&MethodKind) -> bool,
    cell: impl Fn(&Measurement) -> String,
) -> (Vec<String>, Rows) {
    let row = |(name, _): &(String, MethodKind)| {
        let lines = report.measurements.iter().filter(|line| line.name == *name);
        (name.clone(), lines.map(&cell).collect())
    };
    let rows = report.methods.iter().filter(|(_, kind)| shown(kind)).map(row);
    (header(report), rows.collect())
}

/// Differences in thousandths; a star if the interval does not contain 0.
fn differences(report: &Report) -> String {
    let Some((ours, _)) = report.methods.first().filter(|(_, kind)| *kind == MethodKind::Ours) else {
        return String::new();
    };
    let cell = |line: &Comparison| {
        let significant = line.difference.low > 0.0 || line.difference.high < 0.0;
        format!("{:+.1}{}", 1000.0 * line.difference.value, if significant { "*" } else { " " })
    };
    let row = |(name, _): &(String, MethodKind)| {
        let lines = report.comparisons.iter().filter(|line| line.other == *name);
        (name.clone(), lines.map(cell).collect())
    };
    let title = format!(
        "Quality per turn of `{ours}` minus that of the others, in thousandths (* significant at 95 %)"
    );
    block(&title, (header(report), report.methods.iter().skip(1).map(row).collect()))
}

fn settings(report: &Report) -> (Vec<String>, Rows) {
    let (header, rows) = measured(
        report,
        |_| true,
        |line| line.setting.map(|setting| format!("{setting:.2}")).unwrap_or_default(),
    );
    (header, rows.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect())
}

fn header(report: &Report) -> Vec<String> {
    budgets(report).into_iter().map(budget).collect()
}

/// The distinct budgets.
fn budgets(report: &Report) -> Vec<f64> {
    let mut shares: Vec<f64> = report.measurements.iter().map(|line| line.budget_share).collect();
    shares.dedup();
    shares
}

fn budget(share: f64) -> String {
    format!("{} %", (1000.0 * share).round() / 10.0)
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}
