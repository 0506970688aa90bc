//! A place for one short value.

use crate::wire::json::Kind;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Open,
    Full,
    /// Of another kind, or too long.
    Unfit,
}

/// Keeps the last value of one kind, up to a length. Its memory is reused, so a body of many duplicates costs no
/// more than one.
#[derive(Clone, Debug)]
pub struct Slot {
    kind: Kind,
    max_bytes: usize,
    state: State,
    bytes: Vec<u8>,
}

impl Slot {
    /// A slot for values of a kind, of at most `max_bytes`.
    #[must_use]
    pub fn new(kind: Kind, max_bytes: usize) -> Slot {
        Slot { kind, max_bytes, state: State::Empty, bytes: Vec::new() }
    }

    /// A value begins. Returns whether its text is wanted.
    pub fn begin(&mut self, kind: Kind) -> bool {
        self.bytes.clear();
        self.state = if kind == self.kind { State::Open } else { State::Unfit };
        self.state == State::Open
    }

    /// A piece of the value.
    pub fn push(&mut self, piece: &[u8]) {
        if self.bytes.len().saturating_add(piece.len()) > self.max_bytes {
            self.state = State::Unfit;
        } else if self.state == State::Open {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The value has ended.
    pub fn end(&mut self) {
        if self.state == State::Open {
            self.state = State::Full;
        }
    }

    /// The value, if it is whole and fits.
    #[must_use]
    pub fn get(&self) -> Option<&[u8]> {
        (self.state == State::Full).then_some(self.bytes.as_slice())
    }

    /// The value as a count.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.get()?).ok()?.parse().ok()
    }
}
