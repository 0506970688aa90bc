//! Reads token usage from an answer while it passes to the client.
//!
//! Nothing is held back: each chunk is read and passed on. An answer is a sequence of JSON texts, a server-sent stream
//! or an Amazon event stream, whose events are JSON texts; the API's convention says where the counts are. Content types
//! are often wrong, or missing, so they do not count: the first byte decides. `{` and `[` begin JSON, and the length of
//! an Amazon event stream's message (16 MiB at most) begins with 0 or 1; anything else is read as a server-sent stream,
//! where lines that are none are ignored.

use crate::answer::documents::Documents;
use crate::answer::plausible::Shown;
use crate::answer::usage::convention;
use crate::answer::usage::tally::Convention;
use crate::request::api::Api;
use crate::usage::Usage;
use crate::wire::event_stream::EventStreamReader;
use crate::wire::sse::SseReader;

#[derive(Clone, Debug)]
enum Format {
    /// Nothing but white space was seen.
    Unknown,
    Json,
    Sse(SseReader),
    EventStream(EventStreamReader),
    /// An encoding that cannot be read.
    Encoded,
}

/// The reader of one answer's body.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    format: Format,
    convention: Convention,
    documents: Documents,
    body_bytes: u64,
}

impl AnswerReader {
    /// A reader for an answer of `api` with this `content-encoding`, empty where it is absent.
    ///
    /// A body with a `content-encoding` is not read, for its bytes mean something else.
    #[must_use]
    pub fn new(api: Api, content_encoding: &[u8]) -> Self {
        let encoding = content_encoding.trim_ascii();
        let is_encoded = !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity");
        let format = if is_encoded { Format::Encoded } else { Format::Unknown };
        let convention = convention(api);
        AnswerReader { format, convention, documents: Documents::new(convention), body_bytes: 0 }
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(chunk.len() as u64);
        let mut rest = chunk;
        while let (Format::Unknown, Some((byte, after))) = (&self.format, rest.split_first()) {
            self.format = match byte {
                // White space, a record separator and a byte order mark may lead.
                b' ' | b'\t' | b'\n' | b'\r' | 0x1E | 0xEF | 0xBB | 0xBF => {
                    rest = after;
                    continue;
                }
                b'{' | b'[' => Format::Json,
                0 | 1 => Format::EventStream(EventStreamReader::default()),
                _ => Format::Sse(SseReader::default()),
            };
        }
        if let Format::Json = self.format {
            rest = self.documents.read(rest);
            if !rest.is_empty() {
                // A server that announces its stream by a JSON text.
                self.format = Format::Sse(SseReader::default());
            }
        }
        match &mut self.format {
            Format::Sse(reader) => reader.feed(rest, &mut self.documents),
            Format::EventStream(reader) => reader.feed(rest, &mut self.documents),
            Format::Json | Format::Unknown | Format::Encoded => {}
        }
    }

    /// The usage read so far; `None` where neither input nor output was counted. Call it when the stream has ended,
    /// however it ended. Where the output's count is missing, the output is at least what was seen of it; where the
    /// input's is, it is 0, which no answer reports.
    #[must_use]
    pub fn finish(&self, bytes_per_token: u64) -> Option<Usage> {
        let tally = self.documents.tally();
        if !tally.has_usage() {
            return None;
        }
        let (mut usage, output_tokens) = (self.convention.inclusive)(tally);
        if output_tokens.is_none() {
            usage.output_tokens = usage.output_tokens.max(self.guessed_output_tokens(bytes_per_token));
        }
        Some(usage)
    }

    /// Whether the usage is all that the answer will be billed. `whole`: the answer's end was seen; `answers`: how many
    /// were asked for at once.
    #[must_use]
    pub fn is_final(&self, whole: bool, answers: u64) -> bool {
        let tally = self.documents.tally();
        let (_, output_tokens) = (self.convention.inclusive)(tally);
        let has_ended =
            whole || self.documents.is_done() || (answers <= 1 && self.documents.has_last_usage());
        // Usage of one of several choices is not that of all.
        let is_of_all = answers <= 1 || !self.documents.is_tally_of_choice();
        output_tokens.is_some() && tally.is_readable() && has_ended && is_of_all
    }

    /// Output tokens guessed from what passed, erring on the high side: an event of a stream carries one token
    /// or several, each of about `bytes_per_token` of its text; a JSON answer is mostly text. A compressed answer
    /// has about a token per byte.
    #[must_use]
    pub fn guessed_output_tokens(&self, bytes_per_token: u64) -> u64 {
        let tokens = |bytes: u64| bytes.div_ceil(bytes_per_token.max(1));
        let events = self.documents.events();
        match &self.format {
            Format::Encoded => self.body_bytes,
            Format::Sse(_) | Format::EventStream(_) if events > 0 => {
                events.max(tokens(self.documents.text_bytes()))
            }
            _ => tokens(self.body_bytes),
        }
    }

    /// What was seen besides the usage. `whole`: the answer's end was seen.
    #[must_use]
    pub fn shown(&self, whole: bool) -> Shown {
        let has_ended = whole || self.documents.is_done();
        Shown {
            body_bytes: self.body_bytes,
            text_bytes: self.documents.sure_text_bytes(),
            is_unbilled: self.documents.is_unbilled(),
            is_error: has_ended && self.documents.is_error(),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
