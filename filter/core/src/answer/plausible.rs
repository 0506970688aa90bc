//! Whether the usage that an answer reports can be true.
//!
//! A broken or lying server can report anything. What cannot be true is not charged as it is: one absurd count would
//! close a session's or a tenant's account, one of nothing would make its answers free. The rules are bounds that no
//! honest answer crosses, and that is tested: each allows a margin of an eighth and 64 tokens.
//!
//! Too much:
//!
//! * **Input** above the model's context, once for each of the answers asked for at once (some servers count the
//!   prompt for each) and for each run of the model (`estimate.runs_per_answer`).
//! * **Output** above the context, likewise.
//! * **Output without the reported reasoning** above both the limit that was sent and the bytes of the answer's body: a
//!   token of text has at least one byte. So a server that ignores the limit and shows what it wrote is believed, and
//!   its tokens are charged; a count that neither the limit nor the answer supports is not. Reasoning may be hidden,
//!   and some servers do not hold it to the limit, so only the context bounds it.
//! * **Cached or written input** above the input.
//!
//! Too little:
//!
//! * **Input of 0**: no prompt is empty, if only for the frame of its messages.
//! * **Output** of less than one token per [`LONGEST_TOKEN_BYTES`] of text. Only what is output for sure counts as text,
//!   so signatures, citations, images, echoed input and padding do not matter.
//!
//! So a usage of zeros with an answer that has text is none: some servers send it for what they did not count. Zeros with
//! an empty answer are rejected as well, because the input is never empty. Only the output count may be 0, and only without text.
//!
//! An answer that the provider gave instead of the model (a guardrail's text) may well report nothing. A total below its
//! parts is ignored, one above them counts as output. Hidden reasoning, tool calls, refusals, an empty answer and a
//! cached prompt break no rule. Old versions of Ollama report an input of 0 where their cache held the whole prompt;
//! they are not believed.

use crate::usage::Usage;

/// Bytes of the longest token in the vocabularies of common models: 128 spaces.
pub const LONGEST_TOKEN_BYTES: u64 = 128;
/// Bounds are exceeded by one part in this many, …
const MARGIN_PART: u64 = 8;
/// … and by these tokens.
const MARGIN_TOKENS: u64 = 64;
/// Answers that a request may ask for at once (OpenAI's `n`), where its body was not read.
pub const MOST_ANSWERS: u64 = 128;

/// What the answer to a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Input and output tokens that the model can hold.
    pub context_tokens: u64,
    /// Answers asked for at once.
    pub answers: u64,
    /// How often the server may run the model for one answer.
    pub runs_per_answer: u64,
    /// The limit on output tokens that was sent, over all answers; `None` where there was none.
    pub output_limit: Option<u64>,
}

/// What was seen of an answer besides its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Bytes of its texts that are output for sure.
    pub text_bytes: u64,
    /// The provider answered without a model.
    pub is_unbilled: bool,
    /// It is whole, and all of it is that the request failed.
    pub is_error: bool,
}

/// Why a count cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It must be more.
    TooLittle,
    /// It must be less.
    TooMuch,
}

/// The counts of a usage that cannot be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// The input, or its parts.
    pub input: Option<Doubt>,
    /// The output.
    pub output: Option<Doubt>,
}

impl Doubts {
    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Doubts::default()
    }

    /// Those that hold for usage in the middle of an answer as well.
    #[must_use]
    pub fn of_too_much(self) -> Doubts {
        let too_much = |doubt: Option<Doubt>| doubt.filter(|doubt| *doubt == Doubt::TooMuch);
        Doubts { input: too_much(self.input), output: too_much(self.output) }
    }
}

impl Allowance {
    /// The most input or output tokens that an answer can use.
    #[must_use]
    pub fn most_tokens(&self) -> u64 {
        self.context_tokens.saturating_mul(self.answers.max(1)).saturating_mul(self.runs_per_answer.max(1))
    }

    /// The most output tokens that the limit allows; `None` where none was sent.
    #[must_use]
    pub fn limited_output_tokens(&self) -> Option<u64> {
        self.output_limit.map(|limit| limit.saturating_mul(self.runs_per_answer.max(1)))
    }

    /// What of an answer's final usage cannot be true.
    #[must_use]
    pub fn doubts(&self, usage: &Usage, shown: &Shown) -> Doubts {
        Doubts { input: self.doubt_of_input(usage, shown), output: self.doubt_of_output(usage, shown) }
    }

    fn doubt_of_input(&self, usage: &Usage, shown: &Shown) -> Option<Doubt> {
        let parts = usage.cached_input_tokens.saturating_add(usage.cache_write_tokens);
        let most = with_margin(self.most_tokens());
        if usage.input_tokens > most || parts > most {
            Some(Doubt::TooMuch)
        } else if parts > usage.input_tokens || (usage.input_tokens == 0 && !shown.is_unbilled) {
            Some(Doubt::TooLittle)
        } else {
            None
        }
    }

    fn doubt_of_output(&self, usage: &Usage, shown: &Shown) -> Option<Doubt> {
        let visible = usage.output_tokens.saturating_sub(usage.reasoning_tokens);
        let exceeds_limit = self
            .limited_output_tokens()
            .is_some_and(|limit| visible > with_margin(limit).max(shown.body_bytes));
        if usage.output_tokens > with_margin(self.most_tokens()) || exceeds_limit {
            return Some(Doubt::TooMuch);
        }
        let least = shown.text_bytes.div_ceil(LONGEST_TOKEN_BYTES);
        (usage.output_tokens < least && !shown.is_unbilled).then_some(Doubt::TooLittle)
    }
}

fn with_margin(tokens: u64) -> u64 {
    tokens.saturating_add(tokens.div_ceil(MARGIN_PART)).saturating_add(MARGIN_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALLOWANCE: Allowance =
        Allowance { context_tokens: 128_000, answers: 1, runs_per_answer: 1, output_limit: Some(100) };

    fn doubts(allowance: Allowance, usage: Usage, shown: Shown) -> (Option<Doubt>, Option<Doubt>) {
        let Doubts { input, output } = allowance.doubts(&usage, &shown);
        (input, output)
    }

    fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    #[test]
    fn absurd_counts_are_too_much_and_missing_ones_too_little() {
        let (much, little) = (Some(Doubt::TooMuch), Some(Doubt::TooLittle));
        let said = Shown { body_bytes: 300, text_bytes: 200, ..Shown::default() };
        let cached = |input, cached_input_tokens| Usage { cached_input_tokens, ..usage(input, 20) };
        let cases = [
            (usage(90, 20), None, None),
            (usage(144_064, 20), None, None),
            (usage(144_065, 20), much, None),
            (usage(0, 20), little, None),
            (cached(90, 90), None, None),
            (cached(90, 91), little, None),
            (cached(90, u64::MAX), much, None),
            (usage(90, 999_999_999_999_980), None, much),
            (usage(u64::MAX, u64::MAX), much, much),
            (usage(90, 2), None, None),
            (usage(90, 1), None, little),
            (usage(0, 0), little, little),
        ];
        for (usage, input, output) in cases {
            assert_eq!(doubts(ALLOWANCE, usage, said), (input, output), "{usage:?}");
        }
    }

    #[test]
    fn more_than_the_limit_is_believed_where_the_answer_shows_it() {
        let output = |output, reasoning_tokens, body_bytes| {
            let usage = Usage { reasoning_tokens, ..usage(90, output) };
            doubts(ALLOWANCE, usage, Shown { body_bytes, ..Shown::default() }).1
        };
        assert_eq!(output(177, 0, 0), None, "within the margin");
        assert_eq!(output(178, 0, 0), Some(Doubt::TooMuch));
        assert_eq!(output(50_000, 0, 200_000), None, "the server ignored the limit");
        assert_eq!(output(50_000, 0, 49_999), Some(Doubt::TooMuch));
        assert_eq!(output(50_000, 49_900, 500), None, "hidden reasoning beyond the limit");
        assert_eq!(output(200_000, 199_900, 500), Some(Doubt::TooMuch), "and beyond the context");
    }

    #[test]
    fn a_guardrails_answer_may_report_nothing() {
        let shown = Shown { body_bytes: 900, text_bytes: 500, is_unbilled: true, ..Shown::default() };
        assert!(ALLOWANCE.doubts(&usage(0, 0), &shown).is_empty());
        assert!(!ALLOWANCE.doubts(&usage(0, u64::MAX), &shown).is_empty());
    }

    prop_compose! {
        /// An honest answer: `answers` of `tokens` each, some of them reasoning, shown or hidden.
        fn honest()(
            context_tokens in 100u64..2_000_000, answers in 1u64..9, runs_per_answer in 1u64..4,
            limit in proptest::option::of(1u64..100_000), obeys in any::<bool>(),
            share in 0.0f64..=1.0, cached in 0.0f64..=1.0, reasoning in 0.0f64..=1.0,
            bytes_per_token in 1u64..=LONGEST_TOKEN_BYTES, frame in 0u64..10_000, counts_prompts in any::<bool>(),
        ) -> (Allowance, Usage, Shown) {
            let of = |whole: u64, share: f64| (whole as f64 * share) as u64;
            let input = of(context_tokens, share).max(1);
            let most = context_tokens - input.min(context_tokens);
            let per_run = limit.filter(|_| obeys).map_or(most, |limit| limit.min(most));
            let output = of(per_run, 1.0 - share) * answers * runs_per_answer;
            let reasoning_tokens = of(output, reasoning);
            let text_bytes = (output - reasoning_tokens) * bytes_per_token;
            let input_tokens = input * runs_per_answer * if counts_prompts { answers } else { 1 };
            let usage = Usage {
                input_tokens,
                cached_input_tokens: of(input_tokens, cached).min(input_tokens),
                output_tokens: output,
                reasoning_tokens,
                ..Usage::default()
            };
            let output_limit = limit.map(|limit| limit * answers);
            let allowance = Allowance { context_tokens, answers, runs_per_answer, output_limit };
            (allowance, usage, Shown { body_bytes: text_bytes + frame, text_bytes, ..Shown::default() })
        }
    }

    proptest! {
        #[test]
        fn no_honest_answer_is_doubted((allowance, usage, shown) in honest()) {
            prop_assert_eq!(allowance.doubts(&usage, &shown), Doubts::default());
        }

        #[test]
        fn what_is_not_doubted_is_bounded(
            input in any::<u64>(), cached in any::<u64>(), written in any::<u64>(), output in any::<u64>(),
            reasoning in any::<u64>(), body_bytes in any::<u64>(), text_bytes in any::<u64>(), is_unbilled in any::<bool>(),
        ) {
            let usage = Usage {
                input_tokens: input, cached_input_tokens: cached, cache_write_tokens: written,
                output_tokens: output, reasoning_tokens: reasoning, ..Usage::default()
            };
            let doubts = ALLOWANCE.doubts(&usage, &Shown { body_bytes, text_bytes, is_unbilled, ..Shown::default() });
            if doubts.is_empty() {
                prop_assert!(input.max(cached).max(written).max(output) <= 144_064);
            }
        }
    }
}
