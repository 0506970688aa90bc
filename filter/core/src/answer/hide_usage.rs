//! Removes the usage event from a stream whose client did not ask for it.
//!
//! The filter makes OpenAI chat streams report their usage (`stream_options.include_usage`); the API then sends one
//! more event, with usage and no choices. Client libraries that index `choices[0]` fail on it, so it is removed on
//! the way back. `"usage": null` in other events stays.
//!
//! **Nothing waits for another event.** Held are the fields of one event whose data may still be usage alone: until its
//! first choice, its end, or 8 KiB. Comments, by which servers and proxies keep a stream alive, and lines
//! other than fields are forwarded at once, ahead of any event that is being held.
//!
//! Some servers end an event's data with one line end instead of two, and their clients read each line of data for
//! itself. So a line at whose end the JSON text is whole is judged by itself.

use std::borrow::Cow;

use crate::wire::json::{JsonReader, Kind, Progress, Visitor};
use crate::wire::key::Key;
use crate::wire::lines::{Lines, Part};
use crate::wire::sse::DATA;

/// An event longer than this does not consist of usage alone.
const MAX_HELD_BYTES: usize = 8192;

/// The filter of one answer's body.
#[derive(Clone, Debug, Default)]
pub struct UsageHider {
    lines: Lines,
    line: Line,
    text: Text,
    /// Fields of the event were passed on.
    event_is_passed: bool,
    /// Usage of the event was hidden.
    event_is_hidden: bool,
    /// What became of the last line end: the line feed that may follow shares it.
    line_end: Fate,
    /// Bytes of the unfinished event that were not passed on.
    held: Vec<u8>,
    hidden: u64,
}

/// The line being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// At its start.
    #[default]
    Start,
    /// A comment, or no field that a client knows.
    Aside,
    /// As many bytes of it as begin a line of data.
    Prefix(usize),
    /// In the value of a `data:` line.
    Data,
    /// Any other field.
    Field,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Passed,
    Held,
    Hidden,
}

/// What is known of the JSON text being read.
#[derive(Clone, Debug, Default)]
struct Text {
    json: JsonReader,
    has_choice: bool,
    has_choices: bool,
    has_usage: bool,
    /// A byte of it was read, white space aside.
    is_begun: bool,
    /// Its beginning was passed on.
    is_passed: bool,
}

impl Text {
    fn feed(&mut self, piece: &[u8]) {
        let Text { json, has_choice, has_choices, has_usage, is_begun, .. } = self;
        *is_begun |= !piece.trim_ascii().is_empty();
        json.feed(piece, &mut Look { has_choice, has_choices, has_usage });
    }

    fn is_usage_alone(&self) -> bool {
        self.has_choices && self.has_usage && self.may_be_usage_alone()
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
        let mut passing = Passing { hider: self, chunk, from: 0, out: None };
        passing.read();
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
struct Passing<'a, 'b> {
    hider: &'b mut UsageHider,
    chunk: &'a [u8],
    /// Where the bytes begin of which nothing was decided yet; those of the held event follow on them.
    from: usize,
    /// What the client gets of this chunk so far; `None` while that is the chunk up to `from`.
    out: Option<Vec<u8>>,
}

impl Passing<'_, '_> {
    fn read(&mut self) {
        let (mut rest, mut start) = (self.chunk, 0usize);
        while let Some((part, piece, after)) = self.hider.lines.next(rest) {
            let end = start.saturating_add(piece.len());
            match part {
                Part::Inner => self.in_line(piece, start, end),
                Part::End => self.end_line(start, end),
                Part::LineFeed => match self.hider.line_end {
                    Fate::Passed => self.pass_aside(start, end),
                    Fate::Held => {}
                    Fate::Hidden => self.drop_up_to(end),
                },
            }
            (rest, start) = (after, end);
        }
    }

    fn in_line(&mut self, piece: &[u8], start: usize, end: usize) {
        let line = &mut self.hider.line;
        if *line == Line::Start {
            // `data`, `event`, `id` and `retry` are all fields that there are.
            *line = match piece.first() {
                Some(b'd') => Line::Prefix(0),
                Some(b'e' | b'i' | b'r') => Line::Field,
                _ => Line::Aside,
            };
        }
        let mut value = piece;
        while let (Line::Prefix(seen), Some((byte, after))) = (*line, value.split_first()) {
            *line = match DATA.get(seen) {
                Some(expected) if expected == byte && seen.saturating_add(1) == DATA.len() => Line::Data,
                Some(expected) if expected == byte => Line::Prefix(seen.saturating_add(1)),
                _ => Line::Field,
            };
            value = after;
        }
        match *line {
            Line::Aside => return self.pass_aside(start, end),
            Line::Data => self.hider.text.feed(value),
            Line::Start | Line::Prefix(_) | Line::Field => {}
        }
        self.judge(end);
    }

    fn end_line(&mut self, start: usize, end: usize) {
        self.hider.line_end = match std::mem::take(&mut self.hider.line) {
            Line::Start => self.end_event(end),
            Line::Aside => {
                self.pass_aside(start, end);
                Fate::Passed
            }
            Line::Data => self.end_data(end),
            Line::Prefix(_) | Line::Field => self.judge(end),
        };
    }

    /// Passes the event up to `end` if it is more than usage.
    fn judge(&mut self, end: usize) -> Fate {
        let pending = end.saturating_sub(self.from).saturating_add(self.hider.held.len());
        if self.hider.text.may_be_usage_alone() && pending <= MAX_HELD_BYTES {
            return Fate::Held;
        }
        self.hider.text.is_passed = true;
        self.hider.event_is_passed = true;
        self.pass(end);
        Fate::Passed
    }

    fn end_data(&mut self, end: usize) -> Fate {
        self.hider.text.feed(b"\n");
        let fate = match self.hider.text.json.progress() {
            Progress::Complete if self.hider.text.is_usage_alone() => {
                self.hide(end);
                Fate::Hidden
            }
            Progress::Complete => {
                self.hider.text.is_passed = true;
                self.judge(end)
            }
            Progress::Incomplete | Progress::Invalid => self.judge(end),
        };
        if self.hider.text.json.progress() != Progress::Incomplete {
            self.hider.text = Text::default();
        }
        fate
    }

    fn end_event(&mut self, end: usize) -> Fate {
        let UsageHider { text, event_is_passed, event_is_hidden, .. } = &mut *self.hider;
        let (is_passed, is_hidden) = (std::mem::take(event_is_passed), std::mem::take(event_is_hidden));
        let text = std::mem::take(text);
        if text.is_usage_alone() {
            self.hide(end);
            self.hider.event_is_hidden = false;
        } else if is_hidden && !is_passed && !text.is_begun {
            // What is left of an event that was hidden.
            self.drop_up_to(end);
        } else {
            self.pass(end);
            return Fate::Passed;
        }
        Fate::Hidden
    }

    fn end_chunk(&mut self, end_of_stream: bool) {
        let end = self.chunk.len();
        if !end_of_stream {
            self.hold(end);
        } else if self.hider.text.is_usage_alone() {
            self.hide(end);
        } else {
            self.pass(end);
        }
    }

    /// Passes the held bytes and the chunk up to `to`.
    fn pass(&mut self, to: usize) {
        if self.out.is_some() || !self.hider.held.is_empty() {
            let held = std::mem::take(&mut self.hider.held);
            let piece = self.chunk.get(self.from..to).unwrap_or_default();
            let out = self.changed();
            out.extend_from_slice(&held);
            out.extend_from_slice(piece);
        }
        self.from = to;
    }

    /// Passes a part of the chunk before what is held.
    fn pass_aside(&mut self, start: usize, end: usize) {
        self.hold(start);
        let piece = self.chunk.get(start..end).unwrap_or_default();
        if let Some(out) = &mut self.out {
            out.extend_from_slice(piece);
        }
        self.from = end;
    }

    /// Holds the chunk up to `to`.
    fn hold(&mut self, to: usize) {
        let pending = self.chunk.get(self.from..to).unwrap_or_default();
        if !pending.is_empty() {
            self.hider.held.extend_from_slice(pending);
            self.changed();
        }
        self.from = to;
    }

    /// Hides an event: drops the held bytes and the chunk up to `to`.
    fn hide(&mut self, to: usize) {
        self.hider.hidden = self.hider.hidden.saturating_add(1);
        self.hider.event_is_hidden = true;
        self.drop_up_to(to);
    }

    fn drop_up_to(&mut self, to: usize) {
        self.hider.held.clear();
        if to > self.from {
            self.changed();
        }
        self.from = to;
    }

    fn changed(&mut self) -> &mut Vec<u8> {
        self.out.get_or_insert_with(|| {
            let mut out = Vec::with_capacity(self.chunk.len());
            out.extend_from_slice(self.chunk.get(..self.from).unwrap_or_default());
            out
        })
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
#[path = "hide_usage_tests.rs"]
mod tests;
