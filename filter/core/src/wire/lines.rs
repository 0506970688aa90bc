//! Splits bytes into lines, whatever chunks they come in. A line ends in LF, CR or CRLF.

/// What a piece of the bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes of a line.
    Inner,
    /// The end of a line.
    End,
    /// The LF of a CRLF; its CR was the end of the line.
    LineFeed,
}

/// The splitter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    after_carriage_return: bool,
}

impl Lines {
    /// The next part of the bytes, and what follows it; `None` where there are none.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<(Part, &'a [u8], &'a [u8])> {
        let first = bytes.first()?;
        let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, *first == b'\r');
        let (part, length) = match first {
            b'\n' if after_carriage_return => (Part::LineFeed, 1),
            b'\n' | b'\r' => (Part::End, 1),
            _ => (Part::Inner, memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())),
        };
        let (piece, rest) = bytes.split_at_checked(length)?;
        Some((part, piece, rest))
    }
}
