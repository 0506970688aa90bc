//! Reads the events of a server-sent stream, whatever chunks they come in.
//!
//! Follows the line and field rules of the WHATWG HTML standard, section 9.2.6: lines end in LF, CR or CRLF, a
//! blank line ends an event, `data:` lines of one event are joined. Only a scanner's state is kept, never a line.

use crate::scan::top_level::TopLevelScanner;

const DATA: &[u8] = b"data:";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At its start; the count of bytes that match `data:` so far.
    Prefix(usize),
    /// In the value of a `data:` line.
    Data,
    /// Any other line.
    Other,
}

/// Splits a stream into events and scans each event's data as a JSON object.
#[derive(Clone, Debug)]
pub struct SseScanner {
    fresh: TopLevelScanner,
    event: TopLevelScanner,
    event_has_data: bool,
    line: Line,
    line_is_empty: bool,
    after_carriage_return: bool,
    events: u64,
}

impl SseScanner {
    /// A reader that looks for the given members in every event.
    #[must_use]
    pub fn new(keys: &'static [&'static str], max_value_bytes: usize) -> Self {
        let fresh = TopLevelScanner::new(keys, max_value_bytes);
        SseScanner {
            event: fresh.clone(),
            fresh,
            event_has_data: false,
            line: Line::Prefix(0),
            line_is_empty: true,
            after_carriage_return: false,
            events: 0,
        }
    }

    /// Events with data that have ended so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Reads the next bytes and hands the scanned data of every event that ends in them to `on_event`.
    pub fn feed(&mut self, chunk: &[u8], mut on_event: impl FnMut(&TopLevelScanner)) {
        for &byte in chunk {
            let newline_of_crlf = self.after_carriage_return && byte == b'\n';
            self.after_carriage_return = byte == b'\r';
            match byte {
                _ if newline_of_crlf => {}
                b'\r' | b'\n' => self.end_line(&mut on_event),
                _ => self.in_line(byte),
            }
        }
    }

    /// The stream has ended: an event without its blank line counts too (a provider that closes early).
    pub fn finish(&mut self, mut on_event: impl FnMut(&TopLevelScanner)) {
        self.end_event(&mut on_event);
    }

    fn in_line(&mut self, byte: u8) {
        self.line_is_empty = false;
        match self.line {
            Line::Data => self.event.feed(&[byte]),
            Line::Other => {}
            Line::Prefix(seen) => {
                self.line = match DATA.get(seen) {
                    Some(expected) if *expected == byte && seen.saturating_add(1) == DATA.len() => {
                        self.event_has_data = true;
                        Line::Data
                    }
                    Some(expected) if *expected == byte => Line::Prefix(seen.saturating_add(1)),
                    _ => Line::Other,
                };
            }
        }
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(&TopLevelScanner)) {
        if self.line_is_empty {
            self.end_event(on_event);
        } else if self.line == Line::Data {
            self.event.feed(b"\n");
        }
        self.line = Line::Prefix(0);
        self.line_is_empty = true;
    }

    fn end_event(&mut self, on_event: &mut impl FnMut(&TopLevelScanner)) {
        if self.event_has_data {
            self.events = self.events.saturating_add(1);
            on_event(&self.event);
            self.event = self.fresh.clone();
            self.event_has_data = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usages(chunks: &[&[u8]]) -> Vec<String> {
        let mut scanner = SseScanner::new(&["usage"], 64);
        let mut found = Vec::new();
        let mut keep = |event: &TopLevelScanner| {
            if let Some(value) = event.last_value(0) {
                found.push(String::from_utf8_lossy(value).into_owned());
            }
        };
        for chunk in chunks {
            scanner.feed(chunk, &mut keep);
        }
        scanner.finish(&mut keep);
        found
    }

    #[test]
    fn line_ends_of_all_three_kinds_end_an_event() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("event: x{end}data: {{\"usage\":1}}{end}{end}data:{{\"usage\":2}}{end}{end}");
            assert_eq!(usages(&[text.as_bytes()]), ["1", "2"], "{end:?}");
        }
    }

    #[test]
    fn data_lines_of_one_event_are_joined() {
        assert_eq!(usages(&[b"data: {\ndata: \"usage\":3}\n\n"]), ["3"]);
    }

    #[test]
    fn the_done_marker_and_comments_are_no_usage() {
        assert!(usages(&[b": ping\n\ndata: [DONE]\n\nid: 1\n\n"]).is_empty());
    }

    #[test]
    fn an_event_cut_off_at_the_end_still_counts() {
        assert_eq!(usages(&[b"data: {\"usage\":4}\n"]), ["4"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            text in "((data: ?\\{\"usage\":[0-9]{1,3},\"c\":\"é[a-z]{0,3}\"\\}|: x|event: y|data: \\[DONE\\])(\r\n|\n|\r)(\r\n|\n|\r)?){0,5}",
            cuts in proptest::collection::vec(0usize..150, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(usages(&chunks), usages(&[bytes]));
        }
    }
}
