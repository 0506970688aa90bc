//! The answer to a turn, on its way to the client: read as it passes, and changed where an event is hidden from the
//! client.

use std::borrow::Cow;

use seqroute_core::answer::hide_usage::UsageHider;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_core::engine::{Answer, Turn};
use seqroute_core::request::head::is_encoded;
use seqroute_core::request::headers::HeaderPairs;

/// The answer to a turn.
pub struct Answering {
    status: Option<u32>,
    reader: AnswerReader,
    hider: Option<UsageHider>,
    /// The answer's end was seen.
    whole: bool,
}

impl Answering {
    /// An answer of which the headers have come.
    pub fn new(turn: &Turn, headers: &HeaderPairs, hides_usage: bool, end_of_stream: bool) -> Answering {
        let header = |name: &str| headers.get(name).unwrap_or_default();
        let encoding = header("content-encoding");
        Answering {
            status: std::str::from_utf8(header(":status")).ok().and_then(|status| status.parse().ok()),
            reader: AnswerReader::new(turn.api(), encoding),
            hider: (hides_usage && !is_encoded(encoding)).then(UsageHider::default),
            whole: end_of_stream,
        }
    }

    /// An event may be removed from the stream, so its length is not known.
    pub fn may_shrink(&self) -> bool {
        self.hider.is_some()
    }

    /// The answer's end was seen.
    pub fn end(&mut self) {
        self.whole = true;
    }

    /// Reads the next bytes, and returns what the client gets instead of them; `None` where it gets them as they are.
    pub fn pass(&mut self, chunk: &[u8], end_of_stream: bool) -> Option<Vec<u8>> {
        self.reader.feed(chunk);
        match self.hider.as_mut()?.pass(chunk, end_of_stream) {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(_) => None,
        }
    }

    /// What was seen of it.
    pub fn seen(&self, turn: &Turn, bytes_per_token: u64) -> Answer {
        Answer {
            status: self.status,
            usage: self.reader.finish(bytes_per_token),
            is_final: self.reader.is_final(self.whole, turn.answers()),
            guessed_output_tokens: self.reader.guessed_output_tokens(bytes_per_token),
            shown: self.reader.shown(self.whole),
            ..Answer::default()
        }
    }
}
