//! The end of a turn: what each way of ending costs.
//!
//! * **Answered**, and the answer's final usage is known and can be true ([`plausible`](crate::answer::plausible)): the
//!   usage is charged.
//! * **An answer that began is paid.** Where its final usage is not known (the client left, the upstream broke off, it
//!   reports none) or cannot be true, what was reserved is charged, or what usage and bytes prove where that is more. A
//!   provider goes on and bills, so a client that left in the middle would get for nothing what is not yet counted:
//!   hidden reasoning, referenced input, the rest of the answer.
//!   Where the model's largest speed is known, no more is charged than can have been written by then, and in the 5 s until
//!   a server finds its connection closed.
//! * **Kept.** An answer that the provider keeps (`store`, `background`) can be had without this stream. Where nobody
//!   received it and the upstream had the whole request, what was reserved is charged.
//! * **Not answered.** An error of the upstream, or one of Envoy's own, costs nothing, unless it reports usage: then it
//!   is paid like an answer. An error with the status of a success is one too, where it came whole and is all that came
//!   ([`findings`](crate::answer::findings)); behind a part of an answer, or with its end not seen, it is an answer that
//!   began.
//! * **Left.** The client left before any answer, although the upstream had the whole request: nothing is charged a few
//!   times, then what was reserved ([`Ending::Left`]).
//!
//! **How these are told apart.** Envoy calls the filter's log callback for every stream. A stream that ended before any
//! response has no status; that is the client's leaving (Envoy's closing of the connection looks the same), or a reset by
//! this filter of a body that contradicts itself, which then was not sent whole. A failure of the upstream always has a status, because Envoy answers for it (503 for a refused
//! or reset connection, 504 for a time-out); `response.code_details` is `via_upstream` where the upstream answered itself,
//! and `response.flags` tell a connection that never came to be from one that broke off.
//!
//! **Why the answer is not read to its end.** The usage may be one event away when a client leaves, but Envoy destroys the
//! filters of a stream whose client is gone, and its router then resets the upstream request (`Filter::onDestroy` calls
//! `resetAll`, `source/common/router/router.cc`); no setting changes that (envoyproxy/envoy#11931). Only a call of the
//! filter's own would live on, and the host hands such an answer over as a whole, when it is complete, so that nothing
//! could be streamed.

use super::turn::Asked;
use super::{Answer, Engine, Turn, Upstream};
use crate::answer::plausible::{Allowance, Doubt, Doubts};
use crate::config::{EstimateConfig, MissingUsage, ModelConfig};
use crate::counters::{Counter, Counts};
use crate::ledger::holding::Ledger;
use crate::ledger::store::SharedStore;
use crate::ledger::{Ended, Ending, Namespace, SettledTurn};
use crate::money::NanoUsd;
use crate::reply::record::{DecisionRecord, Outcome};
use crate::usage::Usage;

/// Text of more bytes per token than this shows that the server ignored the limit on output tokens. Prose has four or
/// five, code three or four.
const SPARSE_TEXT_BYTES: u64 = 16;

/// How long a server goes on writing when its client has gone: until it finds its connection closed.
const LINGER_MS: u64 = 5_000;

impl Engine {
    /// Ends a turn: settles it by usage, settles it by what was reserved where the usage of an answer is not known or
    /// cannot be true, or refunds it.
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
        let Turn { model, holding, namespace, body_bytes, input_tokens, asked, mut record, .. } = turn;
        record.status = answer.status;
        let model = model.and_then(|k| Some((u8::try_from(k).ok()?, self.model(k)?)));
        let Some((index, model)) = model else {
            return record;
        };
        let estimate = &self.config.estimate;
        let elapsed_ms = now_ms.saturating_sub(record.time_ms);
        let closing = Closing {
            estimate,
            model,
            index,
            body_bytes,
            input_tokens,
            elapsed_ms,
            asked,
            record: &record,
            answer,
        };
        let mut bill = closing.bill();
        // Shadow turns spend nothing, so they do not count.
        let mut of_shadow = Counts::default();
        let counts = if namespace == Namespace::Real { counts } else { &mut of_shadow };
        let ended = holding.map(|holding| {
            let ledger = Ledger::new(store, &self.config, namespace);
            ledger.end(holding, bill.ending, now_ms, counts)
        });
        match ended {
            Some(Ok(Ended::Refunded)) => bill = Bill::NOTHING,
            Some(Err(_)) => counts.add(Counter::StoreErrors, 1),
            // A turn that held nothing has no account that counts.
            None if matches!(bill.ending, Ending::Left(_)) => bill = Bill::NOTHING,
            Some(Ok(Ended::Charged)) | None => {}
        }
        counts.add(Counter::UsageEstimated, u64::from(bill.outcome == Outcome::Estimated));
        counts.add(Counter::ImplausibleUsage, u64::from(bill.is_implausible));
        (record.outcome, record.usage, record.charged_nano_usd) = (bill.outcome, bill.usage, bill.charged);
        record
    }
}

/// What a turn costs.
#[derive(Clone, Copy, Debug)]
struct Bill {
    ending: Ending,
    outcome: Outcome,
    usage: Option<Usage>,
    charged: NanoUsd,
    is_implausible: bool,
}

impl Bill {
    const NOTHING: Bill = Bill {
        ending: Ending::Refund,
        outcome: Outcome::Refunded,
        usage: None,
        charged: NanoUsd::ZERO,
        is_implausible: false,
    };
}

/// A turn at its end.
struct Closing<'a> {
    estimate: &'a EstimateConfig,
    model: &'a ModelConfig,
    index: u8,
    body_bytes: Option<u64>,
    /// Input tokens that were reserved for.
    input_tokens: u64,
    /// Since the decision.
    elapsed_ms: u64,
    asked: Asked,
    record: &'a DecisionRecord,
    answer: &'a Answer,
}

impl Closing<'_> {
    fn bill(&self) -> Bill {
        let Answer { status, upstream, kept, .. } = *self.answer;
        match (status, upstream) {
            _ if self.is_failure_in_disguise() => Bill::NOTHING,
            _ if self.answer.is_success() => self.answered(),
            // An error that reports usage is billed by it.
            (_, Upstream::Answered) if self.reports_usage() => self.answered(),
            (_, Upstream::Answered | Upstream::Unreached) => Bill::NOTHING,
            (_, Upstream::Silent) if kept => self.kept(),
            (None, Upstream::Silent) => self.left(),
            (Some(_), Upstream::Silent) => Bill::NOTHING,
        }
    }

    /// The upstream says that something was used.
    fn reports_usage(&self) -> bool {
        self.answer.usage.is_some_and(|usage| usage.input_tokens > 0 || usage.output_tokens > 0)
    }

    /// A success by its status only: nothing came, and nothing of it can be had later.
    fn is_failure_in_disguise(&self) -> bool {
        let Answer { shown, kept, .. } = *self.answer;
        self.answer.is_success() && shown.is_error && !kept && !self.reports_usage()
    }

    /// An answer came, or a part of it.
    fn answered(&self) -> Bill {
        let Answer { usage, is_final, shown, .. } = *self.answer;
        let Some(usage) = usage else {
            return self.by_estimate(self.expected(), false, None);
        };
        let doubts = self.allowance().doubts(&usage, &shown);
        // What an answer says before its end may be too little.
        let doubts = if is_final { doubts } else { doubts.of_too_much() };
        let body_bytes = self.body_bytes.filter(|_| doubts.input.is_none() && usage.input_tokens > 0);
        if is_final && doubts.is_empty() {
            let cost = self.model.prices.cost(&usage);
            return self.settle(Outcome::Settled, usage, cost, body_bytes);
        }
        let bill = self.by_estimate(self.corrected(&usage, doubts), !doubts.is_empty(), body_bytes);
        Bill { is_implausible: !doubts.is_empty(), ..bill }
    }

    /// Nobody received the answer, but the provider keeps it.
    fn kept(&self) -> Bill {
        self.by_estimate(self.expected(), true, None)
    }

    /// The client left before any answer. The upstream had the request and may go on and bill, and the client has
    /// nothing of it. The ledger, which knows how many such turns there were, forgives the first.
    fn left(&self) -> Bill {
        let bill = self.by_estimate(self.expected(), true, None);
        match bill.ending {
            Ending::Settle(turn) => Bill { ending: Ending::Left(turn), ..bill },
            Ending::Refund | Ending::Left(_) => bill,
        }
    }

    /// A charge by `usage`, and by all that was reserved where that is more and `reserved` or the configuration says
    /// so.
    fn by_estimate(&self, usage: Usage, reserved: bool, body_bytes: Option<u64>) -> Bill {
        let by_usage = self.model.prices.cost(&usage);
        let cost = match self.estimate.missing_usage {
            _ if reserved => by_usage.max(self.record.reserved_nano_usd),
            MissingUsage::Reservation => by_usage.max(self.record.reserved_nano_usd.min(self.most_by_now())),
            MissingUsage::Estimate => by_usage,
        };
        self.settle(Outcome::Estimated, usage, cost, body_bytes)
    }

    /// The most that an answer can have cost by now, where the speed of its server is known.
    fn most_by_now(&self) -> NanoUsd {
        let Some(speed) = self.model.tokens_per_second else { return NanoUsd(u64::MAX) };
        let written_ms = self.elapsed_ms.saturating_add(LINGER_MS);
        let tokens = speed.saturating_mul(written_ms).div_ceil(1000).saturating_mul(self.asked.answers);
        self.model.prices.upper_cost(self.input_tokens, tokens)
    }

    /// `body_bytes`: the request's length where its input was reported, since a ratio of tokens to bytes is learned from
    /// reported tokens alone.
    fn settle(&self, outcome: Outcome, usage: Usage, cost: NanoUsd, body_bytes: Option<u64>) -> Bill {
        let ending = Ending::Settle(SettledTurn {
            cost,
            model: self.index,
            prompt_tokens: usage.input_tokens,
            body_bytes: body_bytes.unwrap_or(0),
            // Only a usage that can be true shows what is cached.
            warm_tokens: match outcome {
                Outcome::Settled => usage.cached_input_tokens.saturating_add(usage.cache_write_tokens),
                _ => 0,
            },
            output_tokens: usage.output_tokens,
        });
        Bill { ending, outcome, usage: Some(usage), charged: cost, is_implausible: false }
    }

    /// What the answer is estimated to have used.
    fn expected(&self) -> Usage {
        Usage {
            input_tokens: self.record.prompt_tokens,
            output_tokens: self.guessed_output_tokens(),
            ..Usage::default()
        }
    }

    /// A usage that is not final, or not true in part: what it lacks is estimated, what is too much is ignored.
    fn corrected(&self, usage: &Usage, doubts: Doubts) -> Usage {
        let expected = self.expected();
        let parts = usage.cached_input_tokens.saturating_add(usage.cache_write_tokens);
        let input = match doubts.input {
            Some(Doubt::TooMuch) => expected,
            Some(Doubt::TooLittle) => Usage {
                input_tokens: expected.input_tokens.max(usage.input_tokens).max(parts),
                ..Usage::default()
            },
            None if usage.input_tokens == 0 => expected,
            None => *usage,
        };
        let output_tokens = match doubts.output {
            Some(Doubt::TooMuch) => expected.output_tokens,
            Some(Doubt::TooLittle) | None => expected.output_tokens.max(usage.output_tokens),
        };
        Usage { output_tokens, reasoning_tokens: usage.reasoning_tokens.min(output_tokens), ..input }
    }

    /// No answer is longer than its limit, whatever its frame looks like, unless its text shows that the server ignored
    /// the limit.
    fn guessed_output_tokens(&self) -> u64 {
        let allowance = self.allowance();
        let limit = allowance.limited_output_tokens().unwrap_or(u64::MAX);
        let is_ignored = self.answer.shown.text_bytes.div_euclid(SPARSE_TEXT_BYTES) > limit;
        let most = allowance.most_tokens();
        self.answer.guessed_output_tokens.min(if is_ignored { most } else { limit.min(most) })
    }

    fn allowance(&self) -> Allowance {
        // In shadow no limit is sent but the client's.
        let cap = self.record.output_cap_tokens.filter(|_| !self.record.shadow);
        Allowance {
            context_tokens: self.model.context_tokens,
            answers: self.asked.answers,
            runs_per_answer: self.estimate.runs_per_answer,
            output_limit: cap.or(self.asked.max_output_tokens),
        }
    }
}
