//! The demo's table and plot.

use std::path::Path;

use anyhow::{Result, anyhow};
use comfy_table::{Cell, CellAlignment, Table, presets};
use plotters::prelude::*;
use seqroute_core::money::NanoUsd;

use super::play::Played;

/// One policy under one budget.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the policy or rule.
    pub policy: String,
    /// Budget of every session.
    pub budget: NanoUsd,
    /// The budget as a share of what a session of the largest model costs on average.
    pub share: f64,
    /// Mean quality of all turns; a turn that was not served counts 0.
    pub quality_per_turn: f64,
    /// Mean cost of a session.
    pub cost_per_session_usd: f64,
    /// Share of the sessions that were refused a turn.
    pub bankrupt: f64,
    /// The largest spend of a session.
    pub largest_spend: NanoUsd,
}

impl Row {
    /// Aggregates the played sessions and what each was charged.
    #[must_use]
    pub fn new(policy: &str, budget: NanoUsd, share: f64, played: &[Played], charged: &[NanoUsd]) -> Row {
        let sessions = played.len().max(1) as f64;
        let turns: usize = played.iter().map(|played| played.turns).sum();
        let cost: f64 = charged.iter().map(|cost| cost.as_usd()).sum();
        Row {
            policy: policy.to_owned(),
            budget,
            share,
            quality_per_turn: played.iter().map(|played| played.quality).sum::<f64>() / turns.max(1) as f64,
            cost_per_session_usd: cost / sessions,
            bankrupt: played.iter().filter(|played| played.bankrupt).count() as f64 / sessions,
            largest_spend: charged.iter().copied().max().unwrap_or_default(),
        }
    }
}

/// The table, one line per policy and budget.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "budget, USD",
        "policy",
        "quality per turn",
        "cost per session, USD",
        "bankrupt sessions",
        "largest spend / budget",
    ]);
    for row in rows {
        let spend = row.largest_spend.as_usd() / row.budget.as_usd();
        let cells = [
            format!("{:.4} ({:.0} %)", row.budget.as_usd(), 100.0 * row.share),
            row.policy.clone(),
            format!("{:.3}", row.quality_per_turn),
            format!("{:.4}", row.cost_per_session_usd),
            format!("{:.0} %", 100.0 * row.bankrupt),
            format!("{:.1} %", 100.0 * spend),
        ];
        let align = |k: usize| if k == 1 { CellAlignment::Left } else { CellAlignment::Right };
        table.add_row(cells.iter().enumerate().map(|(k, text)| Cell::new(text).set_alignment(align(k))));
    }
    table.to_string()
}

/// Draws quality against budget, one line per policy, as SVG.
///
/// # Errors
/// When the file cannot be written.
pub fn plot(rows: &[Row], file: &Path) -> Result<()> {
    let mut policies: Vec<&str> = Vec::new();
    for row in rows {
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    }
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", file.display());
    let right = rows.iter().map(|row| row.share).fold(0.0, f64::max) * 105.0;
    let top = rows.iter().map(|row| row.quality_per_turn).fold(0.0, f64::max) * 1.1;
    let area = SVGBackend::new(file, (820, 480)).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Quality at equal budget, through Envoy", ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..right, 0.0..top)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("budget of a session, % of the mean cost with the largest model")
        .y_desc("quality per turn")
        .draw()
        .map_err(|error| failed(&error))?;
    for (k, policy) in policies.iter().enumerate() {
        let color = Palette99::pick(k).to_rgba();
        let points: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| row.policy == *policy)
            .map(|row| (100.0 * row.share, row.quality_per_turn))
            .collect();
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2));
        chart.draw_series(line).map_err(|error| failed(&error))?.label(*policy).legend(legend);
        let dots = points.iter().map(|point| Circle::new(*point, 4, color.filled()));
        chart.draw_series(dots).map_err(|error| failed(&error))?;
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::LowerRight).border_style(BLACK).background_style(WHITE);
    labels.draw().map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(quality: f64, bankrupt: bool) -> Played {
        Played { id: String::new(), quality, turns: 4, requests: 4, bankrupt }
    }

    #[test]
    fn turns_that_were_not_served_have_quality_zero() {
        let charged = [NanoUsd(1_000_000), NanoUsd(3_000_000)];
        let row = Row::new("p", NanoUsd(4_000_000), 0.2, &[played(3.0, false), played(1.0, true)], &charged);
        assert_eq!((row.quality_per_turn, row.bankrupt, row.cost_per_session_usd), (0.5, 0.5, 0.002));
        assert!(table(&[row]).contains("75.0 %"));
    }

    #[test]
    fn the_plot_is_a_picture_of_every_policy() {
        let file = tempfile::tempdir().unwrap().keep().join("plot.svg");
        let row =
            |policy: &str, share| Row::new(policy, NanoUsd(1), share, &[played(3.0, false)], &[NanoUsd(1)]);
        plot(&[row("SeqRoute", 0.2), row("SeqRoute", 0.4), row("myopic", 0.2)], &file).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
        assert!(svg.contains("SeqRoute") && svg.contains("myopic") && svg.contains("<polyline"));
    }
}
