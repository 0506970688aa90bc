//! The charts of the page: which lines of the report they draw.

use seqroute_core::config::LambdaRule;

use super::chart::{self, Axes, Point, Series};
use super::{Line, OURS};
use crate::error::TrainError;
use crate::evaluation::measurement::{Comparison, Measurement};
use crate::evaluation::methods::MethodKind;
use crate::evaluation::report::Report;

/// Plots of quality end this much below the first policy's lowest.
const MARGIN: f64 = 0.05;

/// A chart with its texts.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    /// Empty where there is nothing to draw.
    pub(super) svg: String,
}

/// All charts of the page.
pub(super) fn plots(report: &Report, lines: &[Line<'_>]) -> Result<Vec<Plot>, TrainError> {
    let routers = |line: &Line<'_>| line.kind != MethodKind::Bound;
    let budget = "budget of a session, % of the mean cost of the strongest model alone (logarithmic)";
    let by_budget =
        |y: &'static str, shown: &dyn Fn(&Line<'_>) -> bool, of: &dyn Fn(&Measurement) -> Point| {
            let series = lines.iter().filter(|line| shown(line)).map(|line| {
                let of_line = report.measurements.iter().filter(|measured| measured.name == line.name);
                line.series(of_line.map(of).collect())
            });
            drawn(&Axes { x: budget, y, log_x: true }, &series.collect::<Vec<_>>())
        };
    let share = |of: fn(&Measurement) -> f64| {
        move |line: &Measurement| Point::new(100.0 * line.budget_share, 100.0 * of(line))
    };
    let plots = [
        (
            "Quality against budget",
            "Quality per turn. Dashed: bounds, which know more than a router can. Points more than 0.05 below the \
             lowest point of the first policy are left out.",
            quality_plot(report, lines, budget)?,
        ),
        (
            "Difference from the first policy",
            "Quality per turn of the others minus that of the first policy, paired by session; below 0 they are worse. \
             Routers that are worse by more than 0.1 are left out.",
            difference_plot(report, lines, budget)?,
        ),
        (
            "Quality against cost",
            "Every point is one budget; on the thin red lines it is one λ, from a single archive: solid with λ on the \
             spend to go, dashed on the next cost (the paper's rule). The same points are left out.",
            frontier_plot(report, lines)?,
        ),
        (
            "Bankrupt sessions",
            "Share of the sessions, %.",
            by_budget("% of the sessions", &routers, &share(|line| line.bankrupt_share))?,
        ),
        (
            "Bankrupt sessions that always choosing the cheapest model finishes",
            "Share of the sessions, %.",
            by_budget(
                "% of the sessions",
                &|line| routers(line) && !line.name.starts_with("always "),
                &share(|line| line.avoidable_bankrupt_share),
            )?,
        ),
        (
            "Cut answers",
            "Share of the turns, %.",
            by_budget("% of the turns", &routers, &share(|line| line.cut_share))?,
        ),
        (
            "The strongest model, by money left",
            "Share of the states in which it is chosen, among those that a random router reaches and in which it is allowed.",
            probe_plot(report, lines, true)?,
        ),
        (
            "The strongest model, by turn",
            "The same states by turn, from 0.",
            probe_plot(report, lines, false)?,
        ),
    ];
    Ok(plots.into_iter().map(|(title, note, svg)| Plot { title, note, svg }).collect())
}

fn quality_plot(report: &Report, lines: &[Line<'_>], budget: &str) -> Result<String, TrainError> {
    let point = |line: &Measurement| Point {
        x: 100.0 * line.budget_share,
        y: line.quality.value,
        interval: [line.quality.low, line.quality.high],
    };
    let series = lines.iter().map(|line| line.series(near(report, line).map(point).collect()));
    drawn(&Axes { x: budget, y: "quality per turn", log_x: true }, &series.collect::<Vec<_>>())
}

/// A method's measurements, without those so low that they would flatten a plot of quality.
fn near<'a>(report: &'a Report, line: &'a Line<'_>) -> impl Iterator<Item = &'a Measurement> {
    let first = report.methods.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let of_first = report.measurements.iter().filter(move |measured| measured.name == first);
    let lowest = of_first.map(|measured| measured.quality.value).fold(f64::MAX, f64::min);
    let of_line = report.measurements.iter().filter(|measured| measured.name == line.name);
    of_line.filter(move |measured| measured.quality.value >= lowest - MARGIN)
}

fn difference_plot(report: &Report, lines: &[Line<'_>], budget: &str) -> Result<String, TrainError> {
    let series = lines.iter().filter_map(|line| {
        let of_line = report.comparisons.iter().filter(|comparison| comparison.other == line.name);
        let shown = of_line.filter(|comparison| {
            comparison.difference.value < 0.1 && line.kind != MethodKind::Bound
                || line.name == "dynamic program"
        });
        let point = |comparison: &Comparison| Point {
            x: 100.0 * comparison.budget_share,
            y: -comparison.difference.value,
            interval: [-comparison.difference.high, -comparison.difference.low],
        };
        let points: Vec<Point> = shown.map(point).collect();
        (!points.is_empty()).then(|| line.series(points))
    });
    drawn(&Axes { x: budget, y: "difference of quality per turn", log_x: true }, &series.collect::<Vec<_>>())
}

fn frontier_plot(report: &Report, lines: &[Line<'_>]) -> Result<String, TrainError> {
    let mut series: Vec<Series> = Vec::new();
    for line in lines.iter().filter(|line| line.kind != MethodKind::Bound) {
        let point = |line: &Measurement| Point::new(100.0 * line.cost_share, line.quality.value);
        series.push(line.series(near(report, line).map(point).collect()));
    }
    let mut shares: Vec<f64> = report.sweep.iter().map(|point| point.budget_share).collect();
    shares.dedup();
    for share in shares {
        for rule in [LambdaRule::SpendToGo, LambdaRule::NextCost] {
            let points =
                report.sweep.iter().filter(|point| point.budget_share == share && point.rule == rule);
            let points = points.map(|point| Point::new(100.0 * point.cost_share, point.quality)).collect();
            series.push(Series { color: OURS, width: 1, dashed: rule == LambdaRule::NextCost, points });
        }
    }
    let x = "cost of a session, % of the mean cost of the strongest model alone (logarithmic)";
    drawn(&Axes { x, y: "quality per turn", log_x: true }, &series)
}

fn probe_plot(report: &Report, lines: &[Line<'_>], by_money: bool) -> Result<String, TrainError> {
    let series = lines.iter().filter(|line| !line.name.starts_with("always ")).filter_map(|line| {
        let probe = report.probes.iter().find(|probe| probe.name == line.name)?;
        let points = if by_money { &probe.by_money } else { &probe.by_turn };
        let scale = if by_money { 100.0 } else { 1.0 };
        Some(line.series(points.iter().map(|(x, share)| Point::new(scale * x, 100.0 * share)).collect()))
    });
    let x = if by_money {
        "money left, % of the mean cost of the strongest model alone (logarithmic)"
    } else {
        "turn"
    };
    drawn(&Axes { x, y: "% of the states", log_x: by_money }, &series.collect::<Vec<_>>())
}

impl Line<'_> {
    fn series(&self, points: Vec<Point>) -> Series {
        let width = if self.kind == MethodKind::Ours { 3 } else { 1 };
        Series { color: self.color, width, dashed: self.kind == MethodKind::Bound, points }
    }
}

fn drawn(axes: &Axes<'_>, series: &[Series]) -> Result<String, TrainError> {
    let failed = |message| TrainError::Drawing { chart: axes.y.to_owned(), message };
    chart::svg(axes, series).map_err(|error| failed(error.to_string()))
}
