//! The report as one page that needs no other file and no network: plots as inline SVG, tables below them.

pub mod chart;
mod plots;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::style::RGBColor;

use super::{Report, table};
use crate::error::TrainError;
use crate::evaluation::methods::MethodKind;
use plots::Plot;

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

/// A method and its colour.
struct Line<'a> {
    name: &'a str,
    kind: MethodKind,
    color: RGBColor,
}

/// The page; `data` names the session file.
///
/// # Errors
/// The plotting library fails.
pub fn page(report: &Report, data: &str) -> Result<String, TrainError> {
    let mut lines = lines(report);
    lines.retain(|line| line.kind != MethodKind::Ablation);
    let plots = plots::plots(report, &lines)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "SeqRoute evaluation" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "SeqRoute: quality at equal budget" }
                p {
                    (report.sessions) " sessions, " (report.turns) " turns of " (data) ". Budgets in percent of "
                    (format!("{:.6}", report.reference_cost_usd)) " USD, the mean cost of a session answered by "
                    code { (report.strongest) } " alone. Unserved turns and cut answers count as quality 0. Bars are \
                    95 % intervals by bootstrap over sessions."
                }
                (legend(&lines))
                @for Plot { title, note, svg } in plots.iter().filter(|plot| !plot.svg.is_empty()) {
                    h2 { (title) }
                    p { (note) }
                    (PreEscaped(svg))
                }
                (ablations(report))
                (slopes(report))
                (savings(report))
                h2 { "All numbers" }
                pre { (table::text(report)) }
            }
        }
    };
    Ok(page.into_string())
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut used = [0usize; 5];
    let mut color = |kind: MethodKind| {
        let (place, colors) = match kind {
            MethodKind::Ours => (0, &[OURS][..]),
            MethodKind::Learned => (1, &LEARNED[..]),
            MethodKind::Baseline => (2, &BASELINES[..]),
            MethodKind::Bound => (3, &BOUNDS[..]),
            MethodKind::Ablation => (4, &LEARNED[..]),
        };
        used[place] += 1;
        colors[(used[place] - 1) % colors.len()]
    };
    let mut lines = Vec::new();
    for (name, kind) in &report.methods {
        lines.push(Line { name, kind: *kind, color: color(*kind) });
    }
    lines
}

fn legend(lines: &[Line<'_>]) -> Markup {
    let style = |RGBColor(red, green, blue): RGBColor| format!("background:rgb({red},{green},{blue})");
    html! {
        ul.legend {
            @for line in lines {
                li { b.dashed[line.kind == MethodKind::Bound] style=(style(line.color)) {} (line.name) }
            }
        }
    }
}

/// The variants against the first policy, one row each.
fn ablations(report: &Report) -> Markup {
    let of = |name: &str| {
        let lines = report.comparisons.iter();
        let lines = lines.filter(|line| line.kind == MethodKind::Ablation && line.other == name);
        lines.map(|line| &line.difference).collect::<Vec<_>>()
    };
    let ablations = report.methods.iter().filter(|(_, kind)| *kind == MethodKind::Ablation);
    let rows: Vec<_> = ablations.map(|(name, _)| (name, of(name))).collect();
    let Some((_, first)) = rows.first() else { return html! {} };
    let mut shares: Vec<f64> = report.measurements.iter().map(|line| line.budget_share).collect();
    shares.dedup();
    let thousandths = |value: f64| format!("{:+.1}", -1000.0 * value);
    html! {
        h2 { "Ablations" }
        p {
            "Quality per turn of variants with one thing changed minus that of the first policy, in thousandths, by \
            budget (* the 95 % interval does not contain 0)."
        }
        table {
            tr {
                th { "variant" }
                th { "mean" }
                @for share in shares.iter().take(first.len()) { th { ((1000.0 * share).round() / 10.0) " %" } }
            }
            @for (name, differences) in &rows {
                @let sum = differences.iter().map(|interval| interval.value).sum::<f64>();
                tr {
                    td { (name) }
                    td { (thousandths(sum / differences.len().max(1) as f64)) }
                    @for interval in differences {
                        td { (thousandths(interval.value)) @if interval.low > 0.0 || interval.high < 0.0 { "*" } }
                    }
                }
            }
        }
    }
}

fn slopes(report: &Report) -> Markup {
    html! {
        h2 { "Slope of the share of the strongest model" }
        p { "Change per doubling of the money left (least squares over the states above)." }
        table {
            tr { th { "router" } th { "slope" } th { "states" } }
            @for probe in &report.probes {
                tr {
                    td { (probe.name) }
                    td { (format!("{:+.3}", probe.slope_per_doubling)) }
                    td { (probe.states) }
                }
            }
        }
    }
}

fn savings(report: &Report) -> Markup {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let gain = |gain: f64| format!("{:+.1}", 1000.0 * gain);
    html! {
        @if !report.savings.is_empty() {
            details {
                summary { h2 style="display:inline" { "Cost at equal or better quality" } }
                p {
                    "What the first policy spends on its frontier (all λ and budgets, linear between points) where it is \
                    as good as the other. In percent."
                }
                table {
                    tr {
                        th { "other" }
                        th { "its budget" }
                        th { "it spends" }
                        th { "we spend" }
                        th { "less by" }
                        th { "gain at its cost, thousandths" }
                    }
                    @for saving in &report.savings {
                        tr {
                            td { (saving.other) }
                            td { (percent(saving.budget_share)) }
                            td { (percent(saving.other_cost_share)) }
                            td { (saving.our_cost_share.map_or("never as good".to_owned(), percent)) }
                            td { (saving.reduction.map(percent).unwrap_or_default()) }
                            td { (saving.gain.map(gain).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{EvaluationSpec, evaluate};
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
        let spec = EvaluationSpec {
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
        let report = evaluate(&spec, |_, _| {}).unwrap();
        let page = page(&report, "a & b").unwrap();
        assert!(page.contains("always small&lt;b&gt;") && !page.contains("small<b>"));
        assert!(page.contains("a &amp; b") && page.ends_with("</html>"));
        assert!(page.matches("<svg").count() >= 6);
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http") && !outside.contains("src="));
    }
}
