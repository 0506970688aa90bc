//! Summary of the sessions under one budget.

use comfy_table::Table;
use seqroute_core::config::Config;
use seqroute_sessions::terminal;
use serde::Serialize;

use super::play::Played;

/// The sessions under one budget.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The budget of each session.
    pub budget_nano_usd: u64,
    /// Sessions played.
    pub sessions: usize,
    /// Their turns, served or not.
    pub turns: usize,
    /// Turns that were answered.
    pub served: usize,
    /// Of these, turns whose answer was cut.
    pub cut: usize,
    /// Turns sent with a user message.
    pub turns_with_text: usize,
    /// Turns sent without one.
    pub turns_without_text: usize,
    /// Sessions that were refused a turn for lack of money.
    pub bankrupt: usize,
    /// Sessions that were refused a turn for another reason.
    pub refused: usize,
    /// Sum of the qualities; unserved and cut turns count 0.
    pub quality: f64,
    /// Sum of the charges.
    pub cost_nano_usd: u64,
    /// Charge for the most expensive session.
    pub highest_cost_nano_usd: u64,
    /// Answered turns by model.
    pub served_by: Vec<(String, usize)>,
    /// Results by session, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub played: Vec<Played>,
}

impl Report {
    /// An empty report for this configuration.
    pub fn new(config: &Config) -> Self {
        Report {
            budget_nano_usd: config.default_budget().0,
            sessions: 0,
            turns: 0,
            served: 0,
            cut: 0,
            turns_with_text: 0,
            turns_without_text: 0,
            bankrupt: 0,
            refused: 0,
            quality: 0.0,
            cost_nano_usd: 0,
            highest_cost_nano_usd: 0,
            served_by: config.models.iter().map(|model| (model.name.clone(), 0)).collect(),
            played: Vec::new(),
        }
    }

    /// Adds a session; `keep` to also list it.
    pub fn add(&mut self, played: Played, keep: bool) {
        self.sessions += 1;
        self.turns += played.turns;
        self.served += played.served;
        self.cut += played.cut;
        self.turns_with_text += played.with_text;
        self.turns_without_text += played.without_text;
        self.bankrupt += usize::from(played.bankrupt);
        self.refused += usize::from(played.refused.is_some());
        self.quality += played.quality;
        self.cost_nano_usd += played.cost_nano_usd;
        self.highest_cost_nano_usd = self.highest_cost_nano_usd.max(played.cost_nano_usd);
        for model in &played.models {
            if let Some((_, turns)) = self.served_by.get_mut(*model) {
                *turns += 1;
            }
        }
        if keep {
            self.played.push(played);
        }
    }
}

fn share(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// A row per budget.
pub fn table(reports: &[Report]) -> Table {
    let mut table = terminal::table();
    let models = reports.first().map(|report| report.served_by.as_slice()).unwrap_or_default();
    let fixed = [
        "budget USD",
        "sessions",
        "turns",
        "quality/turn",
        "cost/session USD",
        "highest cost USD",
        "bankrupt",
    ];
    let headers = fixed.into_iter().map(str::to_owned).chain(["refused".to_owned(), "cut".to_owned()]);
    let width = headers.clone().count() + models.len();
    table.set_header(headers.chain(models.iter().map(|(name, _)| name.clone())));
    for report in reports {
        let cells = [
            usd(report.budget_nano_usd as f64),
            report.sessions.to_string(),
            report.turns.to_string(),
            format!("{:.4}", report.quality / report.turns.max(1) as f64),
            usd(report.cost_nano_usd as f64 / report.sessions.max(1) as f64),
            usd(report.highest_cost_nano_usd as f64),
            share(report.bankrupt, report.sessions),
            share(report.refused, report.sessions),
            share(report.cut, report.served),
        ];
        let routes = report.served_by.iter().map(|(_, turns)| share(*turns, report.served));
        table.add_row(cells.into_iter().chain(routes));
    }
    terminal::align_right(&mut table, 0..width);
    table
}

/// A row per session.
pub fn per_session(reports: &[Report]) -> Table {
    let mut table = terminal::table();
    table.set_header(["budget USD", "session", "served", "quality", "cost USD", "end", "models"]);
    for report in reports {
        for played in &report.played {
            let end = match (&played.refused, played.bankrupt) {
                (Some(reason), _) => reason.as_str(),
                (None, true) => "bankrupt",
                (None, false) => "complete",
            };
            let name = |model: &usize| report.served_by.get(*model).map_or("?", |(name, _)| name.as_str());
            table.add_row([
                usd(report.budget_nano_usd as f64),
                played.session.clone(),
                format!("{}/{}", played.served, played.turns),
                format!("{:.3}", played.quality),
                usd(played.cost_nano_usd as f64),
                end.to_owned(),
                played.models.iter().map(name).collect::<Vec<_>>().join(" "),
            ]);
        }
    }
    terminal::align_right(&mut table, 2..5);
    table
}

/// Formats an amount.
fn usd(nano_usd: f64) -> String {
    format!("{:.6}", nano_usd / 1e9)
}
