//! Counts of an answer in the provider's own convention, and what else of an answer tells whether they are the last ones.
//!
//! **How several usage objects of one answer become one** ([`Tally::merge`]). Streams repeat their usage, split it over
//! events, let it grow, or state it anew at their end. Whatever the API:
//!
//! * *Within an object*, the largest count of a kind holds: the same count has several names, and a server that fills two of
//!   them may fill one with 0. Where an object lists the runs of a model apart (`iterations`), their sum holds if it is
//!   larger: Anthropic leaves the runs that shorten a conversation out of its own counts.
//! * *The input* (with its cached and written parts, and the total) of a later object replaces that of an earlier one,
//!   count by count, where it states any input above 0: the end of a stream knows better than its start how the input was
//!   divided. A later object without input, or with zeros, says nothing about it. One that lowers the input and says
//!   nothing of caches contradicts the earlier one, and the larger input holds.
//! * *The output* and its reasoning are cumulative, so the largest count holds.
//! * A count that is **no number from 0 up** (negative, a text, with an exponent) makes the usage unreadable until a later
//!   object states the count again: it is not guessed from others, and the answer is paid like one without usage.
//!   `null` is an absent count. Decimals are rounded up.

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
    /// Those of them that are kept for minutes.
    ShortWritten,
    /// Those of them that are kept for an hour.
    LongWritten,
    /// All tokens.
    Total,
    /// Output tokens.
    Output,
    /// Output tokens at the beginning of an answer, of which more will come.
    FirstOutput,
    /// Output tokens that were reasoning.
    Reasoning,
}

/// The kinds that say how large the input was, and how it was divided.
const INPUT: [Count; 6] =
    [Count::Input, Count::MoreInput, Count::Cached, Count::Written, Count::ShortWritten, Count::LongWritten];
/// The kinds that grow.
const OUTPUT: [Count; 3] = [Count::Output, Count::FirstOutput, Count::Reasoning];
const KINDS: usize = 10;

type Counts = [Option<u64>; KINDS];

fn get(counts: &Counts, count: Count) -> Option<u64> {
    counts.get(count as usize).copied().flatten()
}

fn set(counts: &mut Counts, count: Count, tokens: Option<u64>) {
    if let Some(place) = counts.get_mut(count as usize) {
        *place = tokens;
    }
}

/// What is stated of the input in all: its parts may be contained in it or not, so only of use to compare.
fn input_of(counts: &Counts) -> u64 {
    [Count::Input, Count::MoreInput, Count::Cached, Count::Written]
        .iter()
        .fold(0, |sum: u64, count| sum.saturating_add(get(counts, *count).unwrap_or(0)))
}

/// One usage object, while it is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageObject {
    counts: Counts,
    /// Sums over the runs that it lists.
    runs: Counts,
    unreadable: Unreadable,
}

impl UsageObject {
    /// Records a count; `None` if it is not a non-negative number.
    pub fn add(&mut self, count: Count, tokens: Option<u64>, of_run: bool) {
        let Some(tokens) = tokens else {
            self.unreadable.set(count, true);
            return;
        };
        let counts = if of_run { &mut self.runs } else { &mut self.counts };
        let known = get(counts, count).unwrap_or(0);
        set(counts, count, Some(if of_run { known.saturating_add(tokens) } else { known.max(tokens) }));
    }

    fn get(&self, count: Count) -> Option<u64> {
        get(&self.counts, count).max(get(&self.runs, count))
    }
}

/// Kinds whose last count was no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unreadable([bool; KINDS]);

impl Unreadable {
    fn set(&mut self, count: Count, is_unreadable: bool) {
        if let Some(place) = self.0.get_mut(count as usize) {
            *place = is_unreadable;
        }
    }

    fn get(&self, count: Count) -> bool {
        self.0.get(count as usize).is_some_and(|is_unreadable| *is_unreadable)
    }
}

/// What the usage objects of an answer say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: Counts,
    unreadable: Unreadable,
}

impl Tally {
    /// Takes note of a usage object, by the rule above.
    pub fn merge(&mut self, object: &UsageObject) {
        let mut stated = Counts::default();
        for count in INPUT.into_iter().chain(OUTPUT).chain([Count::Total]) {
            set(&mut stated, count, object.get(count));
            let is_unreadable = object.unreadable.get(count);
            if is_unreadable || object.get(count).is_some() {
                self.unreadable.set(count, is_unreadable);
            }
        }
        let is_lower = input_of(&stated) < input_of(&self.counts);
        let tells_of_caches =
            [Count::Cached, Count::Written].iter().any(|count| get(&stated, *count).is_some());
        if input_of(&stated) > 0 && (tells_of_caches || !is_lower) {
            for count in INPUT {
                let known = self.get(count);
                set(&mut self.counts, count, get(&stated, count).or(known));
            }
            set(&mut self.counts, Count::Total, None);
        }
        for count in OUTPUT.into_iter().chain([Count::Total]) {
            let known = self.get(count);
            set(&mut self.counts, count, get(&stated, count).max(known));
        }
    }

    /// The count of a kind.
    #[must_use]
    pub fn get(&self, count: Count) -> Option<u64> {
        get(&self.counts, count)
    }

    /// The count of a kind, 0 where there is none.
    #[must_use]
    pub fn or_zero(&self, count: Count) -> u64 {
        self.get(count).unwrap_or(0)
    }

    /// Input or output was counted.
    #[must_use]
    pub fn has_usage(&self) -> bool {
        self.get(Count::Input).or(self.get(Count::Output)).is_some()
    }

    /// No count was anything but a number.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.unreadable == Unreadable::default()
    }

    /// Something was used, or it cannot be read whether.
    #[must_use]
    pub fn tells_of_use(&self) -> bool {
        !self.is_readable() || self.counts.iter().any(|count| count.is_some_and(|tokens| tokens > 0))
    }

    /// The tokens written to a cache, and those of them that are kept for an hour.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        let long = self.or_zero(Count::LongWritten);
        let parts = self.or_zero(Count::ShortWritten).saturating_add(long);
        (self.or_zero(Count::Written).max(parts), long)
    }
}

/// Where a usage object stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the API has it.
    Answer,
    /// At the beginning of a stream.
    Start,
    /// Within one choice: it may be that of this choice only.
    Choice,
    /// Under a name of the vendor's own.
    Vendor,
}

/// Finds the usage object that a path leads to or into: its place, and the path within it.
pub type UsageAt = fn(&[Key]) -> Option<(Place, &[Key])>;

/// How a provider reports usage.
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// Where the usage object is that a path leads to or into, and the path within it.
    pub usage_at: UsageAt,
    /// The count at a path within a usage object.
    pub count_at: fn(Place, &[Key]) -> Option<Count>,
    /// Brings a tally into the inclusive convention. The output is `None` while its count is missing.
    pub inclusive: fn(&Tally) -> (Usage, Option<u64>),
    /// Whether a text at a path says why the answer ended.
    pub finish_at: fn(&[Key]) -> bool,
    /// The `type` of the events that end a stream.
    pub end_types: &'static [&'static [u8]],
    /// A stream has one usage object, at its end.
    pub has_usage_last: bool,
    /// Whether an object or a text at a path says that the request failed.
    pub error_at: fn(&[Key]) -> bool,
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
    let (cached, (written, long)) = (tally.or_zero(Count::Cached), tally.written());
    let output_tokens = tally.get(Count::Output);
    let usage = Usage {
        input_tokens: tally.or_zero(Count::Input).saturating_add(cached).saturating_add(written),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        long_cache_write_tokens: long,
        output_tokens: output_tokens.max(tally.get(Count::FirstOutput)).unwrap_or(0),
        reasoning_tokens: 0,
    };
    (usage, output_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(objects: &[&[(Count, i64)]]) -> Tally {
        let mut tally = Tally::default();
        for counts in objects {
            let mut object = UsageObject::default();
            counts.iter().for_each(|(count, tokens)| object.add(*count, u64::try_from(*tokens).ok(), false));
            tally.merge(&object);
        }
        tally
    }

    fn counts(tally: &Tally) -> [u64; 4] {
        [Count::Input, Count::Cached, Count::Total, Count::Output].map(|count| tally.or_zero(count))
    }

    #[test]
    fn a_later_object_states_the_input_anew() {
        use Count::*;
        let first: &[_] = &[(Input, 8834), (Total, 8834), (Output, 0)];
        let last: &[_] = &[(Input, 18), (Cached, 8831), (Output, 426)];
        assert_eq!(counts(&tally(&[first, last])), [18, 8831, 0, 426]);
        assert_eq!(
            counts(&tally(&[first, &[(Output, 9)]])),
            [8834, 0, 8834, 9],
            "it says nothing of the input"
        );
        assert_eq!(counts(&tally(&[first, &[(Input, 0), (Cached, 0), (Output, 9)]])), [8834, 0, 8834, 9]);
        assert_eq!(counts(&tally(&[first, &[(Input, 0), (Cached, 8834), (Output, 9)]])), [0, 8834, 0, 9]);
        assert_eq!(counts(&tally(&[&[(Input, 0)], first])), [8834, 0, 8834, 0]);
        assert_eq!(
            counts(&tally(&[first, &[(Input, 18), (Output, 9)]])),
            [8834, 0, 8834, 9],
            "a contradiction"
        );
        assert_eq!(counts(&tally(&[last, &[(Input, 9000), (Output, 1)]])), [9000, 8831, 0, 426]);
    }

    #[test]
    fn the_output_grows_and_two_names_of_a_count_are_one() {
        use Count::*;
        assert_eq!(counts(&tally(&[&[(Output, 5)], &[(Output, 9)], &[(Output, 0)]])), [0, 0, 0, 9]);
        assert_eq!(counts(&tally(&[&[(Input, 90), (Output, 20), (Input, 0), (Output, 0)]])), [90, 0, 0, 20]);
    }

    #[test]
    fn a_count_that_is_no_number_is_unreadable_until_it_is_stated_again() {
        use Count::*;
        let bad: &[_] = &[(Input, 90), (Output, -1)];
        assert!(!tally(&[bad]).is_readable());
        assert!(!tally(&[bad, &[(Input, 90)]]).is_readable());
        assert!(tally(&[bad, &[(Output, 20)]]).is_readable());
        assert!(!tally(&[&[(Output, 20)], bad]).is_readable());
    }

    #[test]
    fn runs_that_are_listed_apart_are_added() {
        let mut object = UsageObject::default();
        for (count, tokens, of_run) in [
            (Count::Input, 23, false),
            (Count::Output, 10, false),
            (Count::Input, 180, true),
            (Count::Output, 3, true),
            (Count::Input, 23, true),
            (Count::Output, 10, true),
        ] {
            object.add(count, Some(tokens), of_run);
        }
        let mut tally = Tally::default();
        tally.merge(&object);
        assert_eq!(counts(&tally), [203, 0, 0, 13]);
    }
}
