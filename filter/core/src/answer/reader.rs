//! Reads token usage from an answer while it passes to the client.
//!
//! Nothing is held back: each chunk is read and passed on. An answer is one JSON text, a server-sent stream or an
//! Amazon event stream, whose events are JSON texts; the API's [`Convention`] says where the counts are. Content types
//! are often wrong, so the first byte decides, and the header only where that byte says nothing.

use crate::answer::usage::convention;
use crate::answer::usage::tally::{Convention, Count, Tally};
use crate::request::api::Api;
use crate::usage::Usage;
use crate::wire::event_stream::{EventStreamReader, MessageVisitor};
use crate::wire::json::{JsonReader, Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;
use crate::wire::sse::{SseReader, SseVisitor};

/// Longest number that is read as a count.
const MAX_COUNT_BYTES: usize = 20;

#[derive(Clone, Debug)]
enum Format {
    /// Nothing but white space was seen; `Some` is what the content type promises.
    Unknown(Option<Declared>),
    Json,
    Sse(SseReader),
    EventStream(EventStreamReader),
    /// Another type, or an encoding that cannot be read.
    Opaque,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Json,
    Sse,
}

/// The reader of one answer's body.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    format: Format,
    is_encoded: bool,
    events: Events,
    body_bytes: u64,
}

impl AnswerReader {
    /// A reader for an answer of `api` with these headers, empty where they are absent.
    ///
    /// A body with a `content-encoding` is not read, for its bytes mean something else.
    #[must_use]
    pub fn new(api: Api, content_type: &[u8], content_encoding: &[u8]) -> Self {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |expected: &[u8]| media_type.eq_ignore_ascii_case(expected);
        let encoding = content_encoding.trim_ascii();
        let is_encoded = !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity");
        let format = if is_encoded {
            Format::Opaque
        } else if is(b"application/vnd.amazon.eventstream") {
            Format::EventStream(EventStreamReader::default())
        } else if is(b"text/event-stream") {
            Format::Unknown(Some(Declared::Sse))
        } else if is(b"application/json") {
            Format::Unknown(Some(Declared::Json))
        } else {
            Format::Unknown(None)
        };
        AnswerReader { format, is_encoded, events: Events::new(convention(api)), body_bytes: 0 }
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(chunk.len() as u64);
        let mut rest = chunk;
        while let (Format::Unknown(declared), Some((byte, after))) = (&self.format, rest.split_first()) {
            // White space and a byte order mark may lead.
            if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0xEF | 0xBB | 0xBF) {
                rest = after;
                continue;
            }
            self.format = match (byte, declared) {
                (b'{' | b'[', _) | (_, Some(Declared::Json)) => Format::Json,
                // `data:`, `event:`, `id:`, `retry:`, or a comment.
                (b'd' | b'e' | b'i' | b'r' | b':', _) | (_, Some(Declared::Sse)) => {
                    Format::Sse(SseReader::default())
                }
                _ => Format::Opaque,
            };
        }
        match &mut self.format {
            Format::Json => self.events.data(rest),
            Format::Sse(reader) => reader.feed(rest, &mut self.events),
            Format::EventStream(reader) => reader.feed(rest, &mut self.events),
            Format::Unknown(_) | Format::Opaque => {}
        }
    }

    /// The usage read so far; `None` where the input's count is missing. Call it when the stream has ended, however
    /// it ended. Where the output's final count is missing, the output is at least what was seen of it.
    #[must_use]
    pub fn finish(&self, bytes_per_token: u64) -> Option<Usage> {
        let tally = &self.events.tally;
        tally.get(Count::Input)?;
        let (mut usage, output_tokens) = (self.events.convention.inclusive)(tally);
        if output_tokens.is_none() {
            usage.output_tokens = usage.output_tokens.max(self.guessed_output_tokens(bytes_per_token));
        }
        Some(usage)
    }

    /// Output tokens guessed from what passed, erring on the high side: an event of a stream carries one token
    /// or several, each of about `bytes_per_token` of its text; a JSON answer is mostly text. A compressed answer
    /// has about a token per byte.
    #[must_use]
    pub fn guessed_output_tokens(&self, bytes_per_token: u64) -> u64 {
        let tokens = |bytes: u64| bytes.div_ceil(bytes_per_token.max(1));
        let seen = match &self.format {
            _ if self.is_encoded => self.body_bytes,
            Format::Sse(_) | Format::EventStream(_) if self.events.count > 0 => {
                self.events.count.max(tokens(self.events.text_bytes))
            }
            _ => tokens(self.body_bytes),
        };
        seen.max(self.events.tally.or_zero(Count::Output))
    }
}

/// The JSON texts of an answer, one after the other.
#[derive(Clone, Debug)]
struct Events {
    json: JsonReader,
    count: u64,
    convention: Convention,
    tally: Tally,
    number: Slot,
    text_bytes: u64,
}

impl Events {
    fn new(convention: Convention) -> Events {
        let number = Slot::new(Kind::Scalar, MAX_COUNT_BYTES);
        Events {
            json: JsonReader::default(),
            count: 0,
            convention,
            tally: Tally::default(),
            number,
            text_bytes: 0,
        }
    }
}

impl SseVisitor for Events {
    fn data(&mut self, piece: &[u8]) {
        let mut counts = Counts {
            convention: self.convention,
            tally: &mut self.tally,
            number: &mut self.number,
            text_bytes: &mut self.text_bytes,
        };
        self.json.feed(piece, &mut counts);
    }

    fn end_event(&mut self, _at: usize) {
        self.count = self.count.saturating_add(1);
        self.json = JsonReader::default();
    }
}

impl MessageVisitor for Events {
    fn payload(&mut self, piece: &[u8]) {
        self.data(piece);
    }

    fn end_message(&mut self) {
        self.end_event(0);
    }
}

/// Finds counts, and measures the text of events.
struct Counts<'a> {
    convention: Convention,
    tally: &'a mut Tally,
    number: &'a mut Slot,
    text_bytes: &'a mut u64,
}

impl Visitor for Counts<'_> {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        match kind {
            Kind::Scalar if (self.convention.count_at)(path).is_some() => self.number.begin(kind),
            Kind::String => path.contains(&Key::Delta) || path.contains(&Key::Candidates),
            _ => false,
        }
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        if (self.convention.count_at)(path).is_some() {
            self.number.push(piece);
        } else {
            *self.text_bytes = self.text_bytes.saturating_add(piece.len() as u64);
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, _end: u64, _is_empty: bool) {
        if kind != Kind::Scalar {
            return;
        }
        if let Some(count) = (self.convention.count_at)(path) {
            self.number.end();
            if let Some(tokens) = self.number.number() {
                self.tally.add(count, tokens);
            }
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
