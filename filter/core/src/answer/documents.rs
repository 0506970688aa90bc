//! The JSON texts of an answer: what they report, what they say, and whether more is to come.
//!
//! An answer is one JSON text or many: one in each event of a stream, several lines of them, or an array of answers.
//! They are told apart here, so the counts are read alike from all.
//!
//! **Last usage.** Usage in the middle of a stream is not what the answer will be billed: Gemini and some servers that
//! imitate OpenAI repeat growing counts, Anthropic begins with the first of them. Usage is the last where
//!
//! * the answer's end was seen, on the transport or as OpenAI's `[DONE]`, or
//! * it came with or after the reason why the answer ended (`finish_reason`, `stop_reason`, `status`, …), no text came
//!   after it, and the request asked for one answer only. In a chat stream it must stand in an event without a `delta`,
//!   since a server may repeat its usage with each.

use crate::answer::usage::tally::{Convention, Count, Tally, Text};
use crate::wire::event_stream::MessageVisitor;
use crate::wire::json::{JsonReader, Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;
use crate::wire::sse::SseVisitor;

/// Longest number that is read as a count.
const MAX_COUNT_BYTES: usize = 20;
/// Longest reason that is told from others.
const MAX_REASON_BYTES: usize = 32;
/// What stands for a reason while there is none.
const NO_REASON: [&[u8]; 5] = [b"", b"null", b"in_progress", b"queued", b"FINISH_REASON_UNSPECIFIED"];
/// The data of the event that ends OpenAI's streams.
const DONE: &[u8] = b"[DONE]";

/// The reader of an answer's JSON texts, one after the other.
#[derive(Clone, Debug)]
pub struct Documents {
    json: JsonReader,
    /// A byte of the current text was read.
    is_begun: bool,
    head: Head,
    findings: Findings,
    events: u64,
    is_done: bool,
}

impl Documents {
    /// A reader for one convention.
    #[must_use]
    pub fn new(convention: Convention) -> Documents {
        Documents {
            json: JsonReader::default(),
            is_begun: false,
            head: Head::default(),
            findings: Findings::new(convention),
            events: 0,
            is_done: false,
        }
    }

    /// Reads JSON texts that follow each other, with white space, commas or record separators (RFC 7464) between them.
    /// Returns the rest if it is not a JSON object or array.
    #[must_use]
    pub fn read<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let mut rest = chunk;
        loop {
            rest = self.without_separators(rest);
            let begins = matches!(rest.first(), Some(b'{' | b'['));
            if rest.is_empty() || !(self.is_begun || begins) {
                return rest;
            }
            rest = self.read_to_end_of_text(rest);
        }
    }

    /// Reads a piece of an event's data, which should be one JSON text.
    fn read_data(&mut self, piece: &[u8]) {
        let mut rest = piece;
        loop {
            rest = self.without_separators(rest);
            if rest.is_empty() {
                return;
            }
            rest = self.read_to_end_of_text(rest);
        }
    }

    fn without_separators<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | 0x1E);
        let separators = bytes.iter().take_while(|byte| !self.is_begun && is_separator(byte)).count();
        bytes.get(separators..).unwrap_or_default()
    }

    /// Returns what follows the current text.
    fn read_to_end_of_text<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.is_begun = true;
        self.head.push(bytes);
        let before = self.json.offset();
        self.json.feed(bytes, &mut self.findings);
        let Some(end) = self.findings.end_of_text.take() else { return &[] };
        self.begin_text();
        let read = usize::try_from(end.saturating_sub(before)).unwrap_or(usize::MAX);
        bytes.get(read..).unwrap_or_default()
    }

    fn begin_text(&mut self) {
        self.json = JsonReader::default();
        self.is_begun = false;
        self.head = Head::default();
    }

    fn end_event(&mut self) {
        self.events = self.events.saturating_add(1);
        self.is_done |= self.head.is_done();
        self.findings.end_document();
        self.begin_text();
    }

    /// Events seen, where the answer is a stream of them.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.findings.tally
    }

    /// Bytes of text that is probably output.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.findings.text_bytes
    }

    /// Bytes of text that is output for sure.
    #[must_use]
    pub fn sure_text_bytes(&self) -> u64 {
        let Findings { piece_bytes, whole_bytes, document, .. } = &self.findings;
        (*piece_bytes).max(*whole_bytes).max(document.whole_bytes)
    }

    /// The server said that this was all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done || self.head.is_done()
    }

    /// The last usage came with or after the reason why the answer ended.
    #[must_use]
    pub fn has_last_usage(&self) -> bool {
        self.findings.has_last_usage
    }

    /// The provider answered without a model, and bills nothing.
    #[must_use]
    pub fn is_unbilled(&self) -> bool {
        self.findings.is_unbilled
    }
}

impl SseVisitor for Documents {
    fn data(&mut self, piece: &[u8]) {
        self.read_data(piece);
    }

    fn end_event(&mut self) {
        Documents::end_event(self);
    }
}

impl MessageVisitor for Documents {
    fn payload(&mut self, piece: &[u8]) {
        self.read_data(piece);
    }

    fn end_message(&mut self) {
        Documents::end_event(self);
    }
}

/// The first bytes of a text without white space.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: [u8; DONE.len()],
    length: usize,
    is_longer: bool,
}

impl Head {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            let Some(place) = self.bytes.get_mut(self.length) else {
                self.is_longer = true;
                return;
            };
            *place = *byte;
            self.length = self.length.saturating_add(1);
        }
    }

    fn is_done(&self) -> bool {
        self.bytes == *DONE && !self.is_longer
    }
}

/// What the text that is being read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Nothing,
    Count(Count),
    Reason,
    Text(Option<Text>),
}

/// What all texts have said.
#[derive(Clone, Debug)]
struct Findings {
    convention: Convention,
    reading: Reading,
    number: Slot,
    reason: Slot,
    /// Where the current text ends, once it has.
    end_of_text: Option<u64>,
    document: Document,
    tally: Tally,
    text_bytes: u64,
    piece_bytes: u64,
    whole_bytes: u64,
    has_reason: bool,
    has_last_usage: bool,
    is_unbilled: bool,
}

/// What the current text has said: an event, or an element of an array of answers.
#[derive(Clone, Copy, Debug, Default)]
struct Document {
    has_usage: bool,
    has_text: bool,
    /// It continues a choice of a chat.
    has_delta: bool,
    whole_bytes: u64,
}

impl Findings {
    fn new(convention: Convention) -> Findings {
        Findings {
            convention,
            reading: Reading::Nothing,
            number: Slot::new(Kind::Scalar, MAX_COUNT_BYTES),
            reason: Slot::new(Kind::String, MAX_REASON_BYTES),
            end_of_text: None,
            document: Document::default(),
            tally: Tally::default(),
            text_bytes: 0,
            piece_bytes: 0,
            whole_bytes: 0,
            has_reason: false,
            has_last_usage: false,
            is_unbilled: false,
        }
    }

    fn end_document(&mut self) {
        let document = std::mem::take(&mut self.document);
        let is_last = self.has_reason && document.has_usage && !document.has_delta;
        self.has_last_usage = is_last || (self.has_last_usage && !document.has_text);
        self.whole_bytes = self.whole_bytes.max(document.whole_bytes);
    }

    fn reading_of(&self, path: &[Key], kind: Kind) -> Reading {
        match kind {
            Kind::Scalar => (self.convention.count_at)(path).map_or(Reading::Nothing, Reading::Count),
            Kind::String if (self.convention.finish_at)(path) => Reading::Reason,
            Kind::String => {
                let text = (self.convention.text_at)(path);
                let is_text = text.is_some() || path.contains(&Key::Delta) || path.contains(&Key::Candidates);
                if is_text { Reading::Text(text) } else { Reading::Nothing }
            }
            Kind::Object | Kind::Array => Reading::Nothing,
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
}

impl Visitor for Findings {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        self.document.has_delta |= path == [Key::Choices, Key::Item, Key::Delta];
        self.reading = self.reading_of(path, kind);
        match self.reading {
            Reading::Nothing => false,
            Reading::Count(_) => self.number.begin(kind),
            Reading::Reason => self.reason.begin(kind),
            Reading::Text(_) => true,
        }
    }

    fn text(&mut self, _path: &[Key], piece: &[u8]) {
        let bytes = piece.len() as u64;
        match self.reading {
            Reading::Nothing => {}
            Reading::Count(_) => self.number.push(piece),
            Reading::Reason => self.reason.push(piece),
            Reading::Text(text) => {
                self.text_bytes = self.text_bytes.saturating_add(bytes);
                self.document.has_text = true;
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

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, _is_empty: bool) {
        match std::mem::take(&mut self.reading) {
            Reading::Count(count) => {
                self.number.end();
                if let Some(tokens) = self.number.number() {
                    self.tally.add(count, tokens);
                    self.document.has_usage |=
                        matches!(count, Count::Output | Count::Reasoning | Count::Total);
                }
            }
            Reading::Reason => self.take_reason(),
            Reading::Nothing | Reading::Text(_) => {}
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
