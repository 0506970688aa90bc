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

    /// The value as a count, rounded up: some servers write counts with decimals. An exponent, a sign or anything else
    /// makes it none.
    #[must_use]
    pub fn rounded_up(&self) -> Option<u64> {
        let text = std::str::from_utf8(self.get()?).ok()?;
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) {
            return None;
        }
        let more = u64::from(decimals.bytes().any(|digit| digit != b'0'));
        whole.parse::<u64>().ok()?.checked_add(more)
    }

    /// The value as a count.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.get()?).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_with_decimals_is_rounded_up() {
        let count = |text: &str| {
            let mut slot = Slot::new(Kind::Scalar, 40);
            slot.begin(Kind::Scalar);
            slot.push(text.as_bytes());
            slot.end();
            slot.rounded_up()
        };
        for (text, expected) in [
            ("0", Some(0)),
            ("20", Some(20)),
            ("20.0", Some(20)),
            ("1843.2", Some(1844)),
            ("0.0000000000000001", Some(1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551615.5", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("-0.5", None),
            ("+1", None),
            ("1e3", None),
            ("1.", None),
            (".5", None),
            ("1.2.3", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }
}
