//! What the JSON texts of an answer say: counts, text, why the answer ended, and whether it failed.
//!
//! **Last usage.** Usage in the middle of a stream is not what the answer will be billed: Gemini and some servers that
//! imitate OpenAI repeat growing counts, Anthropic begins with the first of them. Usage is the last where
//!
//! * the answer's end was seen, on the transport or in an event that ends it (`[DONE]`, `message_stop`,
//!   `response.completed` and its like), or
//! * it came with or after the reason why the answer ended (`finish_reason`, `stop_reason`, `status`, …), no text came
//!   after it, and the request asked for one answer only. In a chat stream it must stand in an event without a `delta`,
//!   since a server may repeat its usage with each, or in the choice that ended. Bedrock's streams have no other usage.
//!
//! Whatever the connection does after that, the usage is what counts.
//!
//! **Errors.** Some servers say with a status of success that a request failed. Such an answer is an error only if an error
//! is all of it: it is whole, has no usage above 0, and no event of it has begun an output, not even one without text, of
//! which it cannot be known what the model did for it. An error whose own text is long may quote what was produced, so it
//! is none either.

use crate::answer::usage::tally::{Convention, Count, Place, Tally, Text, UsageObject};
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest number that is read as a count.
const MAX_COUNT_BYTES: usize = 40;
/// Longest reason that is told from others.
const MAX_REASON_BYTES: usize = 32;
/// What stands for a reason while there is none.
const NO_REASON: [&[u8]; 5] = [b"", b"null", b"in_progress", b"queued", b"FINISH_REASON_UNSPECIFIED"];
/// Most text of an error that cannot be output.
const MAX_ERROR_BYTES: u64 = 2048;
/// How long a cache keeps what is not billed as kept for long.
const SHORT_TTL: &[u8] = b"5m";

/// What the text that is being read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Nothing,
    /// A count, and whether it is that of one run of several.
    Count(Count, bool),
    /// Tokens of a list of what was written to caches.
    CacheDetail,
    /// How long the cache keeps them.
    Ttl,
    Reason,
    Type,
    Error,
    Text(Option<Text>),
    /// A part of an output other than text.
    Trace,
}

/// What all texts have said.
#[derive(Clone, Debug)]
pub struct Findings {
    convention: Convention,
    reading: Reading,
    number: Slot,
    reason: Slot,
    /// Where the current text ends, once it has.
    end_of_text: Option<u64>,
    document: Document,
    /// The usage object that is being read.
    object: UsageObject,
    detail: CacheDetail,
    tally: Tally,
    /// Usage that does not stand where the API has it.
    other_tally: Tally,
    is_other_of_choice: bool,
    text_bytes: u64,
    piece_bytes: u64,
    whole_bytes: u64,
    error_bytes: u64,
    has_reason: bool,
    has_last_usage: bool,
    has_end: bool,
    has_error: bool,
    has_output: bool,
    is_unbilled: bool,
}

/// What the current text has said: an event, or an element of an array of answers.
#[derive(Clone, Copy, Debug, Default)]
struct Document {
    has_usage: bool,
    is_usage_of_choice: bool,
    has_text: bool,
    /// It continues a choice of a chat.
    has_delta: bool,
    has_end: bool,
    has_error: bool,
    whole_bytes: u64,
}

/// An element of a list of what was written to caches.
#[derive(Clone, Copy, Debug, Default)]
struct CacheDetail {
    tokens: Option<u64>,
    is_short: bool,
}

impl Findings {
    /// Nothing yet.
    #[must_use]
    pub fn new(convention: Convention) -> Findings {
        Findings {
            convention,
            reading: Reading::Nothing,
            number: Slot::new(Kind::Scalar, MAX_COUNT_BYTES),
            reason: Slot::new(Kind::String, MAX_REASON_BYTES),
            end_of_text: None,
            document: Document::default(),
            object: UsageObject::default(),
            detail: CacheDetail::default(),
            tally: Tally::default(),
            other_tally: Tally::default(),
            is_other_of_choice: false,
            text_bytes: 0,
            piece_bytes: 0,
            whole_bytes: 0,
            error_bytes: 0,
            has_reason: false,
            has_last_usage: false,
            has_end: false,
            has_error: false,
            has_output: false,
            is_unbilled: false,
        }
    }

    /// The counts so far: those that stand where the API has them, else others.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        if self.is_tally_other() { &self.other_tally } else { &self.tally }
    }

    fn is_tally_other(&self) -> bool {
        !self.tally.has_usage() && self.other_tally.has_usage()
    }

    /// The counts are those of one choice.
    #[must_use]
    pub fn is_tally_of_choice(&self) -> bool {
        self.is_tally_other() && self.is_other_of_choice
    }

    /// Bytes of text that is probably output.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Bytes of text that is output for sure.
    #[must_use]
    pub fn sure_text_bytes(&self) -> u64 {
        self.piece_bytes.max(self.whole_bytes).max(self.document.whole_bytes)
    }

    /// An event ended the answer.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.has_end
    }

    /// The last usage came with or after the reason why the answer ended.
    #[must_use]
    pub fn has_last_usage(&self) -> bool {
        self.has_last_usage
    }

    /// The provider answered without a model, and bills nothing.
    #[must_use]
    pub fn is_unbilled(&self) -> bool {
        self.is_unbilled
    }

    /// All that was said is that the request failed.
    #[must_use]
    pub fn is_error(&self) -> bool {
        let is_used = self.tally.tells_of_use() || self.other_tally.tells_of_use();
        self.has_error && !self.has_output && !is_used && self.error_bytes <= MAX_ERROR_BYTES
    }

    /// Where the current text ended, if it has.
    pub fn take_end_of_text(&mut self) -> Option<u64> {
        self.end_of_text.take()
    }

    /// The current text is invalid or incomplete JSON.
    pub fn give_up_text(&mut self) {
        self.object = UsageObject::default();
        let Document { has_text, has_delta, whole_bytes, .. } = self.document;
        self.document = Document { has_text, has_delta, whole_bytes, ..Document::default() };
        self.end_document();
    }

    fn end_document(&mut self) {
        let document = std::mem::take(&mut self.document);
        let has_ended = self.has_reason || self.convention.has_usage_last;
        let is_apart = !document.has_delta || document.is_usage_of_choice;
        let is_last = has_ended && document.has_usage && is_apart;
        self.has_last_usage = is_last || (self.has_last_usage && !document.has_text);
        self.has_end |= document.has_end;
        self.has_error |= document.has_error;
        self.whole_bytes = self.whole_bytes.max(document.whole_bytes);
    }

    fn reading_of(&self, path: &[Key], kind: Kind) -> Reading {
        let Convention { usage_at, count_at, finish_at, error_at, text_at, .. } = self.convention;
        if let Some((place, within)) = usage_at(path) {
            return match within {
                [Key::CacheDetails, Key::Item, Key::InputTokensCamel] => Reading::CacheDetail,
                [Key::CacheDetails, Key::Item, Key::Ttl] => Reading::Ttl,
                [Key::Iterations, Key::Item, within @ ..] => {
                    count_at(place, within).map_or(Reading::Nothing, |count| Reading::Count(count, true))
                }
                _ => count_at(place, within).map_or(Reading::Nothing, |count| Reading::Count(count, false)),
            };
        }
        if kind != Kind::String {
            return Reading::Nothing;
        }
        if finish_at(path) {
            return Reading::Reason;
        }
        if path == [Key::Type] {
            return Reading::Type;
        }
        if (1..=path.len()).any(|steps| path.get(..steps).is_some_and(error_at)) {
            return Reading::Error;
        }
        if matches!(path.last(), Some(Key::Role | Key::FinishReason | Key::NativeFinishReason)) {
            return Reading::Nothing;
        }
        let text = text_at(path);
        if text.is_some() || path.contains(&Key::Delta) || path.contains(&Key::Candidates) {
            Reading::Text(text)
        } else if is_in_output(path) {
            Reading::Trace
        } else {
            Reading::Nothing
        }
    }

    fn take_reason(&mut self) {
        self.reason.end();
        let reason = self.reason.get();
        // One that is too long to keep is a reason nevertheless.
        self.has_reason |= reason.is_none_or(|reason| !NO_REASON.contains(&reason));
        let unbilled = self.convention.unbilled_finish;
        self.is_unbilled |= !unbilled.is_empty() && reason == Some(unbilled);
    }

    fn take_type(&mut self) {
        self.reason.end();
        let Some(kind) = self.reason.get() else { return };
        self.document.has_end |= self.convention.end_types.contains(&kind);
        self.document.has_error |= kind == b"error";
    }

    fn take_count(&mut self, count: Count, of_run: bool) {
        self.number.end();
        // An absent count.
        if self.number.get() == Some(b"null") {
            return;
        }
        let tokens = self.number.rounded_up();
        self.object.add(count, tokens, of_run);
        let is_output = matches!(count, Count::Output | Count::Reasoning | Count::Total);
        self.document.has_usage |= is_output && tokens.is_some();
    }

    fn end_cache_detail(&mut self) {
        let detail = std::mem::take(&mut self.detail);
        let count = if detail.is_short { Count::ShortWritten } else { Count::LongWritten };
        self.object.add(count, detail.tokens, true);
    }

    fn end_usage(&mut self, place: Place) {
        let object = std::mem::take(&mut self.object);
        match place {
            Place::Answer | Place::Start => self.tally.merge(&object),
            Place::Choice | Place::Vendor => self.other_tally.merge(&object),
        }
        self.is_other_of_choice |= place == Place::Choice;
        self.document.is_usage_of_choice |= place == Place::Choice;
    }
}

/// Whether a text at a path belongs to what an answer begins its output with.
fn is_in_output(path: &[Key]) -> bool {
    matches!(
        path,
        [Key::Response | Key::Item, Key::Output | Key::Candidates, _, ..]
            | [Key::Choices | Key::Candidates | Key::Output | Key::Content, ..]
            | [Key::ContentBlock | Key::OutputItem, ..]
            | [Key::Text | Key::Delta]
    )
}

impl Visitor for Findings {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        self.document.has_delta |= path == [Key::Choices, Key::Item, Key::Delta];
        if kind == Kind::Object
            && (self.convention.usage_at)(path).is_some_and(|(_, within)| within.is_empty())
        {
            self.object = UsageObject::default();
        }
        self.reading = self.reading_of(path, kind);
        match self.reading {
            Reading::Nothing => false,
            Reading::Count(count, of_run) if kind != Kind::Scalar => {
                self.object.add(count, None, of_run);
                self.reading = Reading::Nothing;
                false
            }
            Reading::Count(..) | Reading::CacheDetail => self.number.begin(kind),
            Reading::Reason | Reading::Type | Reading::Ttl => self.reason.begin(kind),
            Reading::Text(_) | Reading::Error | Reading::Trace => true,
        }
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        let bytes = piece.len() as u64;
        match self.reading {
            Reading::Nothing => {}
            Reading::Count(..) | Reading::CacheDetail => self.number.push(piece),
            Reading::Reason | Reading::Type | Reading::Ttl => self.reason.push(piece),
            Reading::Error => {
                self.error_bytes = self.error_bytes.saturating_add(bytes);
                self.document.has_error |= (self.convention.error_at)(path);
            }
            Reading::Trace => self.has_output = true,
            Reading::Text(text) => {
                self.text_bytes = self.text_bytes.saturating_add(bytes);
                self.document.has_text = true;
                self.has_output = true;
                match text {
                    Some(Text::Piece) => self.piece_bytes = self.piece_bytes.saturating_add(bytes),
                    Some(Text::Whole) => {
                        self.document.whole_bytes = self.document.whole_bytes.saturating_add(bytes);
                    }
                    None => {}
                }
            }
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        match std::mem::take(&mut self.reading) {
            Reading::Count(count, of_run) => self.take_count(count, of_run),
            Reading::CacheDetail => {
                self.number.end();
                self.detail.tokens = self.number.rounded_up();
            }
            Reading::Ttl => {
                self.reason.end();
                self.detail.is_short = self.reason.get() == Some(SHORT_TTL);
            }
            Reading::Reason => self.take_reason(),
            Reading::Type => self.take_type(),
            Reading::Nothing | Reading::Text(_) | Reading::Error | Reading::Trace => {}
        }
        if kind == Kind::Object {
            match (self.convention.usage_at)(path) {
                Some((place, [])) => self.end_usage(place),
                Some((_, [Key::CacheDetails, Key::Item])) => self.end_cache_detail(),
                _ => self.document.has_error |= !is_empty && (self.convention.error_at)(path),
            }
        }
        match path {
            [] => {
                self.end_document();
                self.end_of_text = Some(end);
            }
            [Key::Item] if kind == Kind::Object => self.end_document(),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
