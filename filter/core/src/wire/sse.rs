//! Splits a server-sent stream into the data of its events, whatever chunks it comes in.
//!
//! Follows the line and field rules of the WHATWG HTML standard, section 9.2.6: lines end in LF, CR or CRLF, a
//! blank line ends an event, `data:` lines of one event are joined. Nothing is kept, not even a line.

use crate::wire::lines::{Lines, Part};

/// How a line of data begins.
pub const DATA: &[u8] = b"data:";

/// Receives the events of a stream.
pub trait SseVisitor {
    /// A piece of an event's data.
    fn data(&mut self, piece: &[u8]);

    /// An event that has data ends.
    fn end_event(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At its start; the count of bytes that match `data:` so far.
    Prefix(usize),
    /// In the value of a `data:` line.
    Data,
    /// Any other line.
    Other,
}

/// The splitter. Feed it chunks in order.
#[derive(Clone, Debug)]
pub struct SseReader {
    event_has_data: bool,
    lines: Lines,
    line: Line,
    line_is_empty: bool,
}

impl Default for SseReader {
    fn default() -> Self {
        SseReader {
            event_has_data: false,
            lines: Lines::default(),
            line: Line::Prefix(0),
            line_is_empty: true,
        }
    }
}

impl SseReader {
    /// Reads the next bytes.
    pub fn feed(&mut self, chunk: &[u8], visitor: &mut impl SseVisitor) {
        let mut rest = chunk;
        while let Some((part, piece, after)) = self.lines.next(rest) {
            rest = after;
            match part {
                Part::Inner => self.in_line(piece, visitor),
                Part::End => self.end_line(visitor),
                Part::LineFeed => {}
            }
        }
    }

    /// The stream has ended: an event without its blank line counts too (a provider that closes early).
    pub fn finish(&mut self, visitor: &mut impl SseVisitor) {
        self.end_event(visitor);
    }

    fn in_line(&mut self, line: &[u8], visitor: &mut impl SseVisitor) {
        self.line_is_empty = false;
        let mut rest = line;
        while let (Line::Prefix(seen), Some((byte, after))) = (self.line, rest.split_first()) {
            self.line = match DATA.get(seen) {
                Some(expected) if expected == byte && seen.saturating_add(1) == DATA.len() => {
                    self.event_has_data = true;
                    Line::Data
                }
                Some(expected) if expected == byte => Line::Prefix(seen.saturating_add(1)),
                _ => Line::Other,
            };
            rest = after;
        }
        if self.line == Line::Data && !rest.is_empty() {
            visitor.data(rest);
        }
    }

    fn end_line(&mut self, visitor: &mut impl SseVisitor) {
        if self.line_is_empty {
            self.end_event(visitor);
        } else if self.line == Line::Data {
            visitor.data(b"\n");
        }
        self.line = Line::Prefix(0);
        self.line_is_empty = true;
    }

    fn end_event(&mut self, visitor: &mut impl SseVisitor) {
        if std::mem::take(&mut self.event_has_data) {
            visitor.end_event();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pieces::pieces;
    use proptest::prelude::*;

    /// The data of the finished events, and of the one that is open.
    #[derive(Default)]
    struct Events(Vec<String>, Vec<u8>);

    impl SseVisitor for Events {
        fn data(&mut self, piece: &[u8]) {
            self.1.extend_from_slice(piece);
        }

        fn end_event(&mut self) {
            let data = std::mem::take(&mut self.1);
            self.0.push(String::from_utf8_lossy(&data).trim().to_owned());
        }
    }

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut found) = (SseReader::default(), Events::default());
        chunks.iter().for_each(|chunk| reader.feed(chunk, &mut found));
        reader.finish(&mut found);
        found.0
    }

    #[test]
    fn line_ends_of_all_three_kinds_end_an_event() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("event: x{end}data: 1{end}{end}data:2{end}{end}");
            assert_eq!(events(&[text.as_bytes()]), ["1", "2"], "{end:?}");
        }
    }

    #[test]
    fn data_lines_of_one_event_are_joined() {
        assert_eq!(events(&[b"data: {\ndata: \"usage\":3}\n\n"]), ["{\n \"usage\":3}"]);
    }

    #[test]
    fn comments_and_other_fields_are_not_data() {
        assert_eq!(events(&[b": ping\n\ndata: [DONE]\n\nid: 1\n\ndat: 2\n\nxdata: 3\n\n"]), ["[DONE]"]);
    }

    #[test]
    fn an_event_cut_off_at_the_end_still_counts() {
        assert_eq!(events(&[b"data: 4\n"]), ["4"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            text in "((data: ?\\{\"c\":\"é[a-z]{0,3}\"\\}|: x|event: y|data: \\[DONE\\]|dat)(\r\n|\n|\r)(\r\n|\n|\r)?){0,5}",
            cuts in proptest::collection::vec(0usize..150, 0..8),
        ) {
            let bytes = text.as_bytes();
            prop_assert_eq!(events(&pieces(bytes, cuts)), events(&[bytes]));
        }
    }
}
