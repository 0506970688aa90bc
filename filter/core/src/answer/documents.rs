//! The JSON texts of an answer: what they report, what they say, and whether more is to come.
//!
//! An answer is one JSON text or many: one in each event of a stream, several lines of them, or an array of answers.
//! They are told apart here, so [`findings`](crate::answer::findings) reads the counts alike from all.
//!
//! An event may have several JSON texts, one in each of its `data` lines: some servers part their events by one line end
//! only, and clients that read line by line understand them. An invalid line does not affect the lines after it.

use crate::answer::findings::Findings;
use crate::answer::usage::tally::{Convention, Tally};
use crate::wire::event_stream::MessageVisitor;
use crate::wire::json::{JsonReader, Progress};
use crate::wire::sse::SseVisitor;

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
        let Some(end) = self.findings.take_end_of_text() else { return &[] };
        self.events = self.events.saturating_add(1);
        self.begin_text();
        let read = usize::try_from(end.saturating_sub(before)).unwrap_or(usize::MAX);
        bytes.get(read..).unwrap_or_default()
    }

    fn begin_text(&mut self) {
        self.json = JsonReader::default();
        self.is_begun = false;
        self.head = Head::default();
    }

    /// A line of data has ended, and perhaps its event.
    fn end_line(&mut self) {
        if self.json.progress() == Progress::Invalid {
            self.end_broken_text();
        }
    }

    fn end_event(&mut self) {
        if self.is_begun {
            self.end_broken_text();
        }
    }

    /// Discards a text that is invalid or truncated JSON.
    fn end_broken_text(&mut self) {
        self.events = self.events.saturating_add(1);
        self.is_done |= self.head.is_done();
        self.findings.give_up_text();
        self.begin_text();
    }

    /// JSON texts seen, where the answer is a stream of events: one in each, as a rule.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        self.findings.tally()
    }

    /// The counts are those of one choice.
    #[must_use]
    pub fn is_tally_of_choice(&self) -> bool {
        self.findings.is_tally_of_choice()
    }

    /// Bytes of text that is probably output.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.findings.text_bytes()
    }

    /// Bytes of text that is output for sure.
    #[must_use]
    pub fn sure_text_bytes(&self) -> u64 {
        self.findings.sure_text_bytes()
    }

    /// The server said that this was all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done || self.head.is_done() || self.findings.has_end()
    }

    /// The last usage came with or after the reason why the answer ended.
    #[must_use]
    pub fn has_last_usage(&self) -> bool {
        self.findings.has_last_usage()
    }

    /// The provider answered without a model, and bills nothing.
    #[must_use]
    pub fn is_unbilled(&self) -> bool {
        self.findings.is_unbilled()
    }

    /// All that came is that the request failed, and nothing of it is cut off.
    #[must_use]
    pub fn is_error(&self) -> bool {
        (!self.is_begun || self.head.is_done()) && self.findings.is_error()
    }
}

impl SseVisitor for Documents {
    fn data(&mut self, piece: &[u8]) {
        self.read_data(piece);
        // No other piece has a line end.
        if piece == b"\n" {
            self.end_line();
        }
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
