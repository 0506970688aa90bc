//! Counts of an answer in the provider's own convention, how they become a [`Usage`], and what else of an answer tells
//! whether they are the last ones.

use crate::usage::Usage;
use crate::wire::key::Key;

/// A kind of count in an answer, in the provider's own convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Input tokens.
    Input,
    /// Input tokens that are counted separately.
    MoreInput,
    /// Input tokens read from a prompt cache.
    Cached,
    /// Input tokens written to a prompt cache.
    Written,
    /// Output tokens.
    Output,
    /// Output tokens at the beginning of an answer, of which more will come.
    FirstOutput,
    /// Output tokens that were reasoning.
    Reasoning,
    /// All tokens.
    Total,
}

/// The largest count seen of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [Option<u64>; 8],
}

impl Tally {
    /// Takes note of a count.
    pub fn add(&mut self, count: Count, tokens: u64) {
        if let Some(known) = self.counts.get_mut(count as usize) {
            *known = Some(known.unwrap_or(0).max(tokens));
        }
    }

    /// The largest count of a kind.
    #[must_use]
    pub fn get(&self, count: Count) -> Option<u64> {
        self.counts.get(count as usize).copied().flatten()
    }

    /// The largest count of a kind, 0 where there is none.
    #[must_use]
    pub fn or_zero(&self, count: Count) -> u64 {
        self.get(count).unwrap_or(0)
    }
}

/// How a provider reports usage.
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// The count at a path, in a JSON answer or in the data of a stream's event.
    pub count_at: fn(&[Key]) -> Option<Count>,
    /// Brings a tally into the inclusive convention. The output is `None` while its count is missing.
    pub inclusive: fn(&Tally) -> (Usage, Option<u64>),
    /// Whether a text at a path says why the answer ended.
    pub finish_at: fn(&[Key]) -> bool,
    /// What a text at a path is, where it is output for sure. Where that is not certain (signatures, citations, files
    /// in base64) it is `None`.
    pub text_at: fn(&[Key]) -> Option<Text>,
    /// The reason of an answer that no model wrote and that is not billed; empty where there is none.
    pub unbilled_finish: &'static [u8],
}

/// How a text of an answer relates to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// It continues the ones before.
    Piece,
    /// It may repeat the ones before.
    Whole,
}

/// The inclusive usage of a provider whose input contains neither what was read from the prompt cache nor what was
/// written to it, and whose streams may begin with a first count of the output.
pub fn from_exclusive(tally: &Tally) -> (Usage, Option<u64>) {
    let (cached, written) = (tally.or_zero(Count::Cached), tally.or_zero(Count::Written));
    let output_tokens = tally.get(Count::Output);
    let usage = Usage {
        input_tokens: tally.or_zero(Count::Input).saturating_add(cached).saturating_add(written),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output_tokens.max(tally.get(Count::FirstOutput)).unwrap_or(0),
        reasoning_tokens: 0,
    };
    (usage, output_tokens)
}
