//! The report of a failed expectation.

use std::fmt::Write;

use similar::TextDiff;

use super::Exchange;
use crate::guest::logs::TracedCall;

/// Maximum number of host calls in a report.
const MOST_CALLS: usize = 40;

/// The expected and the actual value, both as text.
pub(super) struct Difference {
    pub(super) expected: String,
    pub(super) seen: String,
}

impl Exchange {
    /// Panics with a report of the exchange.
    #[track_caller]
    pub(super) fn fail(&self, what: &str, difference: Option<Difference>) -> ! {
        panic!("{}", self.report(what, difference))
    }

    fn report(&self, what: &str, difference: Option<Difference>) -> String {
        let mut text = what.to_owned();
        if let Some(Difference { expected, seen }) = difference {
            text.push_str("\n\n- expected, + actual:\n");
            let (expected, seen) = (with_newline(expected), with_newline(seen));
            for change in TextDiff::from_lines(&expected, &seen).iter_all_changes() {
                let _ = write!(text, "{} {change}", change.tag());
            }
        }
        let lines = self.vm.logs();
        let lines = lines.get(self.lines_before..).unwrap_or_default();
        text.push_str(if lines.is_empty() { "\nlog: nothing\n" } else { "\nlog:\n" });
        for line in lines {
            let _ = writeln!(text, "  [{:?}] {}", line.level, line.text);
        }
        let calls = self.vm.trace();
        let shown = calls.get(calls.len().saturating_sub(MOST_CALLS)..).unwrap_or_default();
        text.push_str(if shown.is_empty() {
            "\nhost calls: none recorded\n"
        } else {
            "\nhost calls (context, function, status), the last ones:\n"
        });
        for TracedCall { name, context, status } in shown {
            let status = match status {
                Some(0) => "ok".to_owned(),
                Some(status) => format!("status {status}"),
                None => "did not return".to_owned(),
            };
            let _ = writeln!(text, "  {context:>4} {name} {status}");
        }
        text
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
