//! The measurements as CSV, one line per budget and method.

use super::Report;
use crate::error::TrainError;

const HEADER: [&str; 16] = [
    "budget_share",
    "budget_nano_usd",
    "name",
    "kind",
    "quality_per_turn",
    "quality_low",
    "quality_high",
    "quality_per_session",
    "cost_per_session_usd",
    "cost_share",
    "bankrupt_share",
    "unserved_turn_share",
    "avoidable_bankrupt_share",
    "cut_share",
    "strongest_share",
    "setting",
];

/// The CSV file.
///
/// # Errors
/// Only when memory runs out.
pub fn csv(report: &Report) -> Result<Vec<u8>, TrainError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(HEADER)?;
    for line in &report.measurements {
        let kind = serde_json::to_value(line.kind)?;
        let strongest = line.served_share_by_model.get(report.strongest_index).copied().unwrap_or(0.0);
        table.write_record([
            line.budget_share.to_string(),
            line.budget_nano_usd.0.to_string(),
            line.name.clone(),
            kind.as_str().unwrap_or_default().to_owned(),
            line.quality.value.to_string(),
            line.quality.low.to_string(),
            line.quality.high.to_string(),
            line.quality_per_session.to_string(),
            line.cost_per_session_usd.to_string(),
            line.cost_share.to_string(),
            line.bankrupt_share.to_string(),
            line.unserved_turn_share.to_string(),
            line.avoidable_bankrupt_share.to_string(),
            line.cut_share.to_string(),
            strongest.to_string(),
            line.setting.map(|setting| setting.to_string()).unwrap_or_default(),
        ])?;
    }
    Ok(table.into_inner().map_err(|error| csv::Error::from(error.into_error()))?)
}
