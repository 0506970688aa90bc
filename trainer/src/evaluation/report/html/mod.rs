//! The report as one page that needs no other file and no network: plots as inline SVG, tables below them.

pub mod chart;

use std::fmt::Write;

use anyhow::{Result, anyhow};
use plotters::style::RGBColor;
use seqroute_core::config::LambdaRule;

use super::contestant::Kind;
use super::measurement::{Comparison, Measurement};
use super::{Report, table};
use chart::{Axes, Point, Series};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}\
    h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.3rem 0}svg{width:100%;height:auto}\
    ul.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:.5rem 0;margin:0;position:sticky;\
    top:0;background:#fffd;border-bottom:1px solid #ddd}.legend b{display:inline-block;width:1.6rem;height:.25rem;\
    margin-right:.4rem;vertical-align:middle}.legend b.dashed{opacity:.55}\
    table{border-collapse:collapse;font-size:.85rem}td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;\
    text-align:right}td:first-child,th:first-child{text-align:left}pre{font-size:.72rem;overflow-x:auto}";

/// Colours of the first policy, of other policies, of baselines and of bounds.
const OURS: RGBColor = RGBColor(200, 30, 30);
const LEARNED: [RGBColor; 6] = [
    RGBColor(20, 80, 190),
    RGBColor(30, 150, 220),
    RGBColor(90, 60, 180),
    RGBColor(0, 140, 140),
    RGBColor(130, 130, 230),
    RGBColor(60, 100, 120),
];
const BASELINES: [RGBColor; 12] = [
    RGBColor(190, 150, 90),
    RGBColor(110, 80, 50),
    RGBColor(230, 140, 30),
    RGBColor(90, 150, 60),
    RGBColor(150, 190, 60),
    RGBColor(210, 90, 150),
    RGBColor(160, 60, 110),
    RGBColor(60, 120, 60),
    RGBColor(220, 180, 40),
    RGBColor(120, 120, 70),
    RGBColor(180, 110, 180),
    RGBColor(140, 90, 30),
];
const BOUNDS: [RGBColor; 3] = [RGBColor(40, 40, 40), RGBColor(140, 140, 140), RGBColor(180, 180, 180)];

/// Quality under the first policy's lowest at which plots of quality end.
const MARGIN: f64 = 0.05;

/// A contestant with its look.
struct Line<'a> {
    name: &'a str,
    kind: Kind,
    color: RGBColor,
}

/// The page; `data` names what was played.
///
/// # Errors
/// What the drawing library says.
pub fn page(report: &Report, data: &str) -> Result<String> {
    let mut lines = lines(report);
    lines.retain(|line| line.kind != Kind::Ablation);
    let mut body = format!(
        "<h1>SeqRoute: quality at equal budget</h1>\n<p>{} sessions, {} turns of {}. Budgets in percent of {:.6} USD, \
         the mean cost of a session that always <code>{}</code> answers. Unserved turns and cut answers count as \
         quality 0. Bars are 95 % intervals by bootstrap over sessions.</p>\n{}",
        report.sessions,
        report.turns,
        escaped(data),
        report.reference_cost_usd,
        escaped(&report.strongest),
        legend(&lines),
    );
    for (title, note, svg) in plots(report, &lines)? {
        if !svg.is_empty() {
            let _ = write!(body, "<h2>{title}</h2>\n<p>{note}</p>\n{svg}\n");
        }
    }
    body += &ablations(report);
    body += &slopes(report);
    body += &savings(report);
    let _ = write!(body, "<h2>All numbers</h2>\n<pre>{}</pre>\n", escaped(&table::text(report)));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>SeqRoute evaluation</title>\n\
         <style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    ))
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut used = [0usize; 5];
    let mut color = |kind: Kind| {
        let (place, colors) = match kind {
            Kind::Ours => (0, &[OURS][..]),
            Kind::Learned => (1, &LEARNED[..]),
            Kind::Baseline => (2, &BASELINES[..]),
            Kind::Bound => (3, &BOUNDS[..]),
            Kind::Ablation => (4, &LEARNED[..]),
        };
        used[place] += 1;
        colors[(used[place] - 1) % colors.len()]
    };
    let mut lines = Vec::new();
    for (name, kind) in &report.contestants {
        lines.push(Line { name, kind: *kind, color: color(*kind) });
    }
    lines
}

/// Title, note and picture of every plot.
fn plots(report: &Report, lines: &[Line<'_>]) -> Result<Vec<(&'static str, &'static str, String)>> {
    let routers = |line: &Line<'_>| line.kind != Kind::Bound;
    let budget = "budget of a session, % of the mean cost of always the strongest (logarithmic)";
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
    Ok(vec![
        (
            "Quality against budget",
            "Quality per turn. Dashed: bounds, which know more than a router can. What lies more than 0.05 under the \
             lowest point of the first policy is left out.",
            quality_plot(report, lines, budget)?,
        ),
        (
            "Difference from the first policy",
            "Quality per turn of the others minus that of the first policy, paired by session; below 0 they are worse. \
             Routers that are worse by more than 0.1 are left out.",
            difference_plot(report, lines, budget)?,
        ),
        (
            "Quality against money spent",
            "Every point is one budget; on the thin red lines it is one λ, from a single archive: solid charged on the \
             spend to go, dashed on the next cost (the paper's rule). Left out as above.",
            frontier_plot(report, lines)?,
        ),
        (
            "Sessions that ended early",
            "Share of the sessions, %.",
            by_budget("% of the sessions", &routers, &share(|line| line.bankrupt_share))?,
        ),
        (
            "Sessions that ended early though always the cheapest finishes them",
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
            "Share of the states in which it is taken, among those that random walks reach and in which it is allowed.",
            probe_plot(report, lines, true)?,
        ),
        (
            "The strongest model, by turn",
            "The same states by turn, from 0.",
            probe_plot(report, lines, false)?,
        ),
    ])
}

fn quality_plot(report: &Report, lines: &[Line<'_>], budget: &str) -> Result<String> {
    let point = |line: &Measurement| Point {
        x: 100.0 * line.budget_share,
        y: line.quality.value,
        interval: [line.quality.low, line.quality.high],
    };
    let series = lines.iter().map(|line| line.series(near(report, line).map(point).collect()));
    drawn(&Axes { x: budget, y: "quality per turn", log_x: true }, &series.collect::<Vec<_>>())
}

/// A contestant's measurements that are not so low that they would flatten a plot of quality.
fn near<'a>(report: &'a Report, line: &'a Line<'_>) -> impl Iterator<Item = &'a Measurement> {
    let first = report.contestants.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let of_first = report.measurements.iter().filter(move |measured| measured.name == first);
    let lowest = of_first.map(|measured| measured.quality.value).fold(f64::MAX, f64::min);
    let of_line = report.measurements.iter().filter(|measured| measured.name == line.name);
    of_line.filter(move |measured| measured.quality.value >= lowest - MARGIN)
}

fn difference_plot(report: &Report, lines: &[Line<'_>], budget: &str) -> Result<String> {
    let series = lines.iter().filter_map(|line| {
        let of_line = report.comparisons.iter().filter(|comparison| comparison.other == line.name);
        let shown = of_line.filter(|comparison| {
            comparison.difference.value < 0.1 && line.kind != Kind::Bound || line.name == "dynamic programme"
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

fn frontier_plot(report: &Report, lines: &[Line<'_>]) -> Result<String> {
    let mut series: Vec<Series> = Vec::new();
    for line in lines.iter().filter(|line| line.kind != Kind::Bound) {
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
    let x = "spent per session, % of the mean cost of always the strongest (logarithmic)";
    drawn(&Axes { x, y: "quality per turn", log_x: true }, &series)
}

fn probe_plot(report: &Report, lines: &[Line<'_>], by_money: bool) -> Result<String> {
    let series = lines.iter().filter(|line| !line.name.starts_with("always ")).filter_map(|line| {
        let probe = report.probes.iter().find(|probe| probe.name == line.name)?;
        let points = if by_money { &probe.by_money } else { &probe.by_turn };
        let scale = if by_money { 100.0 } else { 1.0 };
        Some(line.series(points.iter().map(|(x, share)| Point::new(scale * x, 100.0 * share)).collect()))
    });
    let x = if by_money {
        "money left, % of the mean cost of always the strongest (logarithmic)"
    } else {
        "turn"
    };
    drawn(&Axes { x, y: "% of the states", log_x: by_money }, &series.collect::<Vec<_>>())
}

impl Line<'_> {
    fn series(&self, points: Vec<Point>) -> Series {
        let width = if self.kind == Kind::Ours { 3 } else { 1 };
        Series { color: self.color, width, dashed: self.kind == Kind::Bound, points }
    }
}

fn drawn(axes: &Axes<'_>, series: &[Series]) -> Result<String> {
    chart::svg(axes, series).map_err(|error| anyhow!("drawing `{}`: {error}", axes.y))
}

fn legend(lines: &[Line<'_>]) -> String {
    let item = |line: &Line<'_>| {
        let RGBColor(red, green, blue) = line.color;
        let class = if line.kind == Kind::Bound { " class=\"dashed\"" } else { "" };
        format!(
            "<li><b{class} style=\"background:rgb({red},{green},{blue})\"></b>{}</li>",
            escaped(line.name)
        )
    };
    format!("<ul class=\"legend\">{}</ul>\n", lines.iter().map(item).collect::<String>())
}

/// The variants against the first policy, one row each.
fn ablations(report: &Report) -> String {
    let of = |name: &str| {
        let lines =
            report.comparisons.iter().filter(|line| line.kind == Kind::Ablation && line.other == name);
        lines.map(|line| &line.difference).collect::<Vec<_>>()
    };
    let names: Vec<&str> = report
        .contestants
        .iter()
        .filter(|(_, kind)| *kind == Kind::Ablation)
        .map(|(name, _)| name.as_str())
        .collect();
    let Some(first) = names.first() else { return String::new() };
    let mut shares: Vec<f64> = report.measurements.iter().map(|line| line.budget_share).collect();
    shares.dedup();
    let head: String = shares
        .iter()
        .take(of(first).len())
        .map(|share| format!("<th>{} %</th>", (1000.0 * share).round() / 10.0))
        .collect();
    let row = |name: &&str| {
        let differences = of(name);
        let mean =
            differences.iter().map(|interval| -interval.value).sum::<f64>() / differences.len().max(1) as f64;
        let cell = |interval: &&super::bootstrap::Interval| {
            let sure = if interval.low > 0.0 || interval.high < 0.0 { "*" } else { "" };
            format!("<td>{:+.1}{sure}</td>", -1000.0 * interval.value)
        };
        let cells: String = differences.iter().map(cell).collect();
        format!("<tr><td>{}</td><td>{:+.1}</td>{cells}</tr>\n", escaped(name), 1000.0 * mean)
    };
    let rows: String = names.iter().map(row).collect();
    format!(
        "<h2>Ablations</h2>\n<p>Quality per turn of variants with one thing changed minus that of the first policy, in \
         thousandths, by budget (* the 95 % interval does not hold 0).</p>\n<table><tr><th>variant</th><th>mean</th>{head}</tr>\n\
         {rows}</table>\n"
    )
}

fn slopes(report: &Report) -> String {
    let row = |probe: &super::Probe| {
        format!(
            "<tr><td>{}</td><td>{:+.3}</td><td>{}</td></tr>\n",
            escaped(&probe.name),
            probe.slope_per_doubling,
            probe.states
        )
    };
    let rows: String = report.probes.iter().map(row).collect();
    format!(
        "<h2>Slope of the share of the strongest model</h2>\n<p>Change per doubling of the money left (least squares over \
         the states above).</p>\n<table><tr><th>router</th><th>slope</th><th>states</th></tr>\n{rows}</table>\n"
    )
}

fn savings(report: &Report) -> String {
    if report.savings.is_empty() {
        return String::new();
    }
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let row = |saving: &super::Saving| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escaped(&saving.other),
            percent(saving.budget_share),
            percent(saving.other_cost_share),
            saving.our_cost_share.map_or("never as good".to_owned(), percent),
            saving.reduction.map(percent).unwrap_or_default(),
            saving.gain.map(|gain| format!("{:+.1}", 1000.0 * gain)).unwrap_or_default(),
        )
    };
    let rows: String = report.savings.iter().map(row).collect();
    format!(
        "<details><summary><h2 style=\"display:inline\">Cost at equal or better quality</h2></summary>\n<p>What the first \
         policy spends on its frontier (all λ and budgets, linear between points) where it is as good as the other. In \
         percent.</p>\n<table><tr><th>other</th><th>its budget</th><th>it spends</th><th>we spend</th><th>less by</th><th>gain at its cost, thousandths</th></tr>\n\
         {rows}</table></details>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Question, evaluate};
    use seqroute_sessions::simulator::{Simulator, tiers};

    #[test]
    fn the_page_is_whole_and_asks_for_nothing() {
        let (train, test) = (Simulator::new(1).sessions(120), Simulator::new(2).sessions(30));
        let mut models = tiers();
        models[0].name = "small<b>".to_owned();
        let renamed = |sessions: Vec<seqroute_sessions::session::Session>| -> Vec<_> {
            let rename = |mut session: seqroute_sessions::session::Session| {
                session.turns.iter_mut().for_each(|turn| turn.options[0].model = "small<b>".to_owned());
                session
            };
            sessions.into_iter().map(rename).collect()
        };
        let (train, test) = (renamed(train), renamed(test));
        let question = Question {
            sessions: &test,
            train: &train,
            tune: &train,
            models: &models,
            policies: &[],
            budget_shares: &[0.2, 0.6],
            sweep_shares: &[],
            seed: 1,
            resamples: 20,
        };
        let report = evaluate(&question, |_, _| {}).unwrap();
        let page = page(&report, "a & b").unwrap();
        assert!(page.contains("always small&lt;b&gt;") && !page.contains("small<b>"));
        assert!(page.contains("a &amp; b") && page.ends_with("</html>\n"));
        assert!(page.matches("<svg").count() >= 6);
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http") && !outside.contains("src="));
    }
}
