//! The report as a table for people and as CSV for programs.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table};

use super::{Measurement, Report};

/// The report as text: one block per budget, the policy first, and the paired difference under it.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "{} sessions, {} turns; policy {}, λ = {}\n100 % = {:.6} USD per session, the mean cost of always `{}`\n",
        report.sessions,
        report.turns,
        report.policy_id,
        report.lambda,
        report.reference_cost_usd,
        report.strongest
    );
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "budget",
        "router",
        "quality/turn",
        "95 % interval",
        "USD/session",
        "bankrupt",
        "avoidable",
        "strongest",
    ]);
    for (index, line) in report.measurements.iter().enumerate() {
        let first = index == 0 || report.measurements[index - 1].budget_share != line.budget_share;
        let budget = if first { percent(line.budget_share, 0) } else { String::new() };
        let router = match line.threshold {
            Some(threshold) => format!("{} {threshold:.2}", line.router),
            None => line.router.clone(),
        };
        table.add_row([
            budget,
            router,
            format!("{:.4}", line.quality.value),
            format!("{:.4} – {:.4}", line.quality.low, line.quality.high),
            format!("{:.6}", line.cost_per_session_usd),
            percent(line.bankrupt_share, 1),
            percent(line.avoidable_bankrupt_share, 1),
            percent(strongest_share(report, line), 1),
        ]);
    }
    for column in [0, 2, 3, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut differences = Table::new();
    differences.load_style(comfy_table::presets::ASCII_MARKDOWN);
    differences.set_header(["budget", "best other", "seqroute − best other", "95 % interval"]);
    for line in &report.comparisons {
        differences.add_row([
            percent(line.budget_share, 0),
            line.best_other.clone(),
            format!("{:+.4}", line.difference.value),
            format!("{:+.4} – {:+.4}", line.difference.low, line.difference.high),
        ]);
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "\n{table}\n\n{differences}\n");
    text
}

/// The measurements as CSV, one line per budget and router.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut text = String::from(
        "budget_share,budget_nano_usd,router,quality_per_turn,quality_low,quality_high,cost_per_session_usd,\
         bankrupt_share,avoidable_bankrupt_share,strongest_share,threshold\n",
    );
    for line in &report.measurements {
        let threshold = line.threshold.map(|threshold| threshold.to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{threshold}",
            line.budget_share,
            line.budget_nano_usd.0,
            quoted(&line.router),
            line.quality.value,
            line.quality.low,
            line.quality.high,
            line.cost_per_session_usd,
            line.bankrupt_share,
            line.avoidable_bankrupt_share,
            strongest_share(report, line),
        );
    }
    text
}

fn strongest_share(report: &Report, line: &Measurement) -> f64 {
    line.served_share_by_model.get(report.strongest_index).copied().unwrap_or(0.0)
}

fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", 100.0 * share)
}

/// A model's name may hold a comma or a quote.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_stay_one_field() {
        assert_eq!(quoted("always a,\"b\""), "\"always a,\"\"b\"\"\"");
        assert_eq!(quoted("always large"), "always large");
    }
}
