//! Removes the usage event from a stream whose client did not ask for it.
//!
//! The filter makes OpenAI chat streams report their usage (`stream_options.include_usage`); the API then sends one
//! more event, with usage and no choices. Client libraries that index `choices[0]` fail on it, so it is removed on
//! the way back. The bytes of an event are held until its first choice shows that it is another one; nothing else is
//! delayed or changed. `"usage": null` in other events stays.

use std::borrow::Cow;

use crate::wire::json::{JsonReader, Kind, Progress, Visitor};
use crate::wire::key::Key;
use crate::wire::sse::{SseReader, SseVisitor};

/// An event longer than this does not consist of usage alone.
const MAX_HELD_BYTES: usize = 8192;

/// The filter of one answer's body.
#[derive(Clone, Debug, Default)]
pub struct UsageHider {
    sse: SseReader,
    event: Event,
    /// Bytes of the unfinished event that were not passed on.
    held: Vec<u8>,
    hidden: u64,
}

/// What is known of the event being read.
#[derive(Clone, Debug, Default)]
struct Event {
    json: JsonReader,
    has_choice: bool,
    has_choices: bool,
    has_usage: bool,
    /// Its beginning was passed on.
    is_passed: bool,
}

impl Event {
    fn is_usage_alone(&self) -> bool {
        self.has_choices && !self.has_choice && self.has_usage && self.json.progress() != Progress::Invalid
    }

    fn may_be_usage_alone(&self) -> bool {
        !self.is_passed && !self.has_choice && self.json.progress() != Progress::Invalid
    }
}

impl UsageHider {
    /// Reads the next bytes of the body and returns what the client gets of them and of those held: the chunk itself,
    /// not copied, where nothing is held or hidden.
    #[must_use]
    pub fn pass<'a>(&mut self, chunk: &'a [u8], end_of_stream: bool) -> Cow<'a, [u8]> {
        let UsageHider { sse, event, held, hidden } = self;
        let mut passing = Passing { event, held, hidden, chunk, from: 0, out: None };
        sse.feed(chunk, &mut passing);
        passing.end_chunk(end_of_stream);
        passing.out.map_or(Cow::Borrowed(chunk), Cow::Owned)
    }

    /// Events hidden so far.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.hidden
    }
}

/// One chunk on its way through.
struct Passing<'a> {
    event: &'a mut Event,
    held: &'a mut Vec<u8>,
    hidden: &'a mut u64,
    chunk: &'a [u8],
    /// Where the current event begins in the chunk.
    from: usize,
    /// What the client gets of this chunk so far; `None` while that is the chunk up to `from`.
    out: Option<Vec<u8>>,
}

impl Passing<'_> {
    /// Passes the held bytes and the chunk up to `to`.
    fn pass(&mut self, to: usize) {
        if self.out.is_some() || !self.held.is_empty() {
            let (held, piece) =
                (std::mem::take(self.held), self.chunk.get(self.from..to).unwrap_or_default());
            let out = self.changed();
            out.extend_from_slice(&held);
            out.extend_from_slice(piece);
        }
        self.from = to;
    }

    /// Drops the held bytes and the chunk up to `to`.
    fn hide(&mut self, to: usize) {
        *self.hidden = self.hidden.saturating_add(1);
        self.held.clear();
        if to > self.from {
            self.changed();
        }
        self.from = to;
    }

    fn hold(&mut self) {
        let rest = self.chunk.get(self.from..).unwrap_or_default();
        self.held.extend_from_slice(rest);
        if !rest.is_empty() {
            self.changed();
        }
    }

    fn changed(&mut self) -> &mut Vec<u8> {
        self.out.get_or_insert_with(|| {
            let mut out = Vec::with_capacity(self.chunk.len());
            out.extend_from_slice(self.chunk.get(..self.from).unwrap_or_default());
            out
        })
    }

    fn end_chunk(&mut self, end_of_stream: bool) {
        let rest = self.chunk.len().saturating_sub(self.from);
        let fits = self.held.len().saturating_add(rest) <= MAX_HELD_BYTES;
        if self.event.may_be_usage_alone() && fits && !end_of_stream {
            self.hold();
        } else if end_of_stream && self.event.is_usage_alone() && !self.event.is_passed {
            self.hide(self.chunk.len());
        } else {
            self.event.is_passed |= rest > 0;
            self.pass(self.chunk.len());
        }
    }
}

impl SseVisitor for Passing<'_> {
    fn data(&mut self, piece: &[u8]) {
        let Event { json, has_choice, has_choices, has_usage, .. } = &mut *self.event;
        json.feed(piece, &mut Look { has_choice, has_choices, has_usage });
    }

    fn end_event(&mut self, at: usize) {
        if self.event.is_usage_alone() && !self.event.is_passed {
            self.hide(at);
        } else {
            self.pass(at);
        }
        *self.event = Event::default();
    }
}

struct Look<'a> {
    has_choice: &'a mut bool,
    has_choices: &'a mut bool,
    has_usage: &'a mut bool,
}

impl Visitor for Look<'_> {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        match path {
            [Key::Choices] => *self.has_choices |= kind == Kind::Array,
            [Key::Choices, ..] => *self.has_choice = true,
            [Key::Usage] => *self.has_usage |= kind == Kind::Object,
            _ => {}
        }
        false
    }

    fn text(&mut self, _path: &[Key], _piece: &[u8]) {}

    fn end(&mut self, _path: &[Key], _kind: Kind, _end: u64, _is_empty: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pieces::pieces;
    use proptest::prelude::*;

    const STREAM: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":null}\r\n\r\n",
        ": ping\r\n\r\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[{}],\"usage\":null}\r\n\r\n",
        "data: {\"id\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\r\n\r\n",
        "data: [DONE]\r\n\r\n",
    );

    fn pass(chunks: &[&[u8]]) -> String {
        let mut hider = UsageHider::default();
        let mut out = Vec::new();
        for (k, chunk) in chunks.iter().enumerate() {
            out.extend_from_slice(&hider.pass(chunk, k + 1 == chunks.len()));
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_event_of_usage_alone_is_missing() {
        let passed = pass(&[STREAM.as_bytes()]);
        assert!(!passed.contains("prompt_tokens") && passed.ends_with("data: [DONE]\r\n\r\n"));
        assert_eq!(
            passed.len(),
            STREAM.len() - "data: {\"id\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\r\n\r\n".len()
        );
    }

    #[test]
    fn an_event_passes_as_soon_as_it_has_a_choice() {
        let mut hider = UsageHider::default();
        let begun = b"data: {\"id\":1,\"choices\":[{\"del";
        assert_eq!(&*hider.pass(begun, false), begun);
        let rest = b"ta\":{}}],\"usage\":{}}\n\n";
        let passed = hider.pass(rest, false);
        assert_eq!(&*passed, rest);
        assert!(matches!(passed, Cow::Borrowed(_)), "an unchanged chunk is not copied");
    }

    #[test]
    fn an_event_too_long_to_hold_passes() {
        let mut hider = UsageHider::default();
        let long = format!("data: {{\"x\":\"{}", "y".repeat(MAX_HELD_BYTES));
        assert_eq!(hider.pass(long.as_bytes(), false).len(), long.len());
        assert_eq!(hider.pass(b"\",\"choices\":[],\"usage\":{}}\n\n", true).len(), 28);
        assert_eq!(hider.hidden(), 0);
    }

    #[test]
    fn a_body_that_is_not_a_stream_passes_whole() {
        for text in ["{\"error\":{}}", "", "data: {\"choices\":[", "\u{0}\u{1}", "data: {\"a\":1}\n"] {
            assert_eq!(pass(&[text.as_bytes()]), text);
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_client_the_same(
            text in prop_oneof![
                Just(STREAM.to_owned()),
                "((data: ?(\\{\"choices\":\\[(\\{\\})?\\],\"usage\":(null|\\{\\})\\}|\\[DONE\\])|: x|dat)(\r\n|\n|\r)(\r\n|\n|\r)?){0,6}",
            ],
            cuts in proptest::collection::vec(0usize..300, 0..9),
        ) {
            let bytes = text.as_bytes();
            prop_assert_eq!(pass(&pieces(bytes, cuts)), pass(&[bytes]));
        }
    }
}
