//! The measurements as CSV for programs, one line per budget and contestant.

use std::fmt::Write;

use super::Report;

/// The CSV text.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut text = String::from(
        "budget_share,budget_nano_usd,name,kind,quality_per_turn,quality_low,quality_high,quality_per_session,\
         cost_per_session_usd,cost_share,bankrupt_share,unserved_turn_share,avoidable_bankrupt_share,cut_share,\
         strongest_share,setting\n",
    );
    for line in &report.measurements {
        let kind = serde_json::to_value(line.kind).unwrap_or_default();
        let strongest = line.served_share_by_model.get(report.strongest_index).copied().unwrap_or(0.0);
        let setting = line.setting.map(|setting| setting.to_string()).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{strongest},{setting}",
            line.budget_share,
            line.budget_nano_usd.0,
            quoted(&line.name),
            kind.as_str().unwrap_or_default(),
            line.quality.value,
            line.quality.low,
            line.quality.high,
            line.quality_per_session,
            line.cost_per_session_usd,
            line.cost_share,
            line.bankrupt_share,
            line.unserved_turn_share,
            line.avoidable_bankrupt_share,
            line.cut_share,
        );
    }
    text
}

/// A model's name may hold a comma or a quote.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
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
