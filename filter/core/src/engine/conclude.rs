//! The end of a turn: what each way of ending costs.

use super::{Answer, Engine, Turn};
use crate::config::{MissingUsage, ModelConfig};
use crate::counters::{Counter, Counts};
use crate::ledger::holding::Ledger;
use crate::ledger::store::SharedStore;
use crate::ledger::{Ending, Namespace, SettledTurn};
use crate::reply::record::{DecisionRecord, Outcome};
use crate::usage::Usage;

impl Engine {
    /// Ends a turn: settles it by usage, settles it by estimate where an answer came without usage, or refunds it.
    ///
    /// The ways to end, what the client received and what each costs are the table "How a turn ends" in
    /// `envoy/README.md`; `tests/src/outcome_table.rs` holds every tested turn against its row.
    pub fn conclude(
        &self,
        store: &impl SharedStore,
        turn: Turn,
        answer: &Answer,
        now_ms: u64,
        counts: &mut Counts,
    ) -> DecisionRecord {
        let Turn { model, holding, namespace, body_bytes, mut record, .. } = turn;
        record.status = answer.status;
        let answered = answer.status.is_some_and(|status| (200..300).contains(&status));
        let model = model.and_then(|k| Some((u8::try_from(k).ok()?, self.model(k)?)));
        let Some((index, model)) = model else {
            return record;
        };
        let ending = if answered {
            self.settle(model, index, body_bytes, answer, &mut record)
        } else {
            record.outcome = Outcome::Refunded;
            Ending::Refund
        };
        // Shadow turns spend nothing, so they do not count.
        let mut of_shadow = Counts::default();
        let counts = if namespace == Namespace::Real { counts } else { &mut of_shadow };
        counts.add(Counter::UsageEstimated, u64::from(record.outcome == Outcome::Estimated));
        if let Some(holding) = holding {
            let ledger = Ledger::new(store, &self.config, namespace);
            if ledger.end(holding, ending, now_ms, counts).is_err() {
                counts.add(Counter::StoreErrors, 1);
            }
        }
        record
    }

    /// What an answer costs, written into the record.
    fn settle(
        &self,
        model: &ModelConfig,
        index: u8,
        body_bytes: Option<u64>,
        answer: &Answer,
        record: &mut DecisionRecord,
    ) -> Ending {
        // No answer is longer than its limit, whatever its bytes look like.
        let limit = record.output_cap_tokens.or(record.max_output_tokens).unwrap_or(u64::MAX);
        let guessed_output_tokens = answer.guessed_output_tokens.min(limit);
        let usage = charged_usage(&Answer { guessed_output_tokens, ..*answer }, record.prompt_tokens);
        let exact = answer.usage == Some(usage);
        record.outcome = if exact { Outcome::Settled } else { Outcome::Estimated };
        record.usage = Some(usage);
        let mut cost = model.prices.cost(&usage);
        if answer.usage.is_none() && self.config.estimate.missing_usage == MissingUsage::Reservation {
            cost = cost.max(record.reserved_nano_usd);
        }
        record.charged_nano_usd = cost;
        Ending::Settle(SettledTurn {
            cost,
            model: index,
            prompt_tokens: usage.input_tokens,
            // A ratio of tokens to bytes is learned from reported tokens alone.
            body_bytes: body_bytes.filter(|_| answer.usage.is_some()).unwrap_or(0),
            output_tokens: usage.output_tokens,
        })
    }
}

/// The usage that an answer is charged by. A cut answer may have brought more output than the usage at its beginning
/// says.
fn charged_usage(answer: &Answer, prompt_tokens: u64) -> Usage {
    let guess = answer.guessed_output_tokens;
    match answer.usage {
        Some(usage) if answer.whole => usage,
        Some(usage) => {
            let input_tokens = if usage.input_tokens > 0 { usage.input_tokens } else { prompt_tokens };
            Usage { input_tokens, output_tokens: usage.output_tokens.max(guess), ..usage }
        }
        None => Usage { input_tokens: prompt_tokens, output_tokens: guess, ..Usage::default() },
    }
}
