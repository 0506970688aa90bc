//! Decodes the inside of a JSON string byte by byte (RFC 8259, section 7).
//!
//! An invalid escape becomes U+FFFD, as does half of a surrogate pair; other bytes pass as they are.

/// A decoded piece: at most two characters of at most four bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoded {
    bytes: [u8; 8],
    len: usize,
}

impl Decoded {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn add(&mut self, piece: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(piece) {
            *to = *from;
            self.len = self.len.saturating_add(1);
        }
    }

    fn add_char(&mut self, code: u32) {
        let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.add(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// After a backslash.
    Escape,
    /// In the digits of `\uXXXX`.
    Hex { digits: u8, code: u32 },
}

/// The state between two bytes of a string.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unescape {
    state: State,
    /// The first half of a surrogate pair, which waits for the second.
    high: Option<u32>,
}

impl Unescape {
    /// A plain run of bytes may pass by without being pushed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.state == State::Plain && self.high.is_none()
    }

    /// A quote here ends the string.
    #[must_use]
    pub fn may_end(&self) -> bool {
        self.state != State::Escape
    }

    /// The next byte of the string.
    pub fn push(&mut self, byte: u8) -> Decoded {
        let mut out = Decoded::default();
        match self.state {
            State::Plain if byte == b'\\' => self.state = State::Escape,
            State::Plain => {
                self.end_pair(&mut out);
                out.add(&[byte]);
            }
            State::Escape => self.after_backslash(byte, &mut out),
            State::Hex { digits, code } => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let code = code.wrapping_shl(4) | digit;
                    if digits == 3 {
                        self.state = State::Plain;
                        self.utf16(code, &mut out);
                    } else {
                        self.state = State::Hex { digits: digits.saturating_add(1), code };
                    }
                }
                None => {
                    out = self.finish();
                    if byte == b'\\' {
                        self.state = State::Escape;
                    } else {
                        out.add(&[byte]);
                    }
                }
            },
        }
        out
    }

    /// The string has ended.
    pub fn finish(&mut self) -> Decoded {
        let mut out = Decoded::default();
        self.end_pair(&mut out);
        if std::mem::take(&mut self.state) != State::Plain {
            out.add_char(u32::MAX);
        }
        out
    }

    fn after_backslash(&mut self, byte: u8, out: &mut Decoded) {
        self.state = State::Plain;
        let decoded = match byte {
            b'u' => {
                self.state = State::Hex { digits: 0, code: 0 };
                return;
            }
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => {
                self.end_pair(out);
                out.add_char(u32::MAX);
                return;
            }
        };
        self.end_pair(out);
        out.add(&[decoded]);
    }

    fn utf16(&mut self, code: u32, out: &mut Decoded) {
        match (code, self.high.take()) {
            (0xDC00..=0xDFFF, Some(high)) => {
                let upper = high.wrapping_sub(0xD800).wrapping_shl(10);
                out.add_char(upper.wrapping_add(code.wrapping_sub(0xDC00)).wrapping_add(0x1_0000));
            }
            (_, Some(_)) => {
                out.add_char(u32::MAX);
                self.utf16(code, out);
            }
            (0xD800..=0xDBFF, None) => self.high = Some(code),
            // A second half alone is not a character and becomes U+FFFD.
            (_, None) => out.add_char(code),
        }
    }

    fn end_pair(&mut self, out: &mut Decoded) {
        if self.high.take().is_some() {
            out.add_char(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(inside: &str) -> String {
        let mut unescape = Unescape::default();
        let mut out = Vec::new();
        inside.bytes().for_each(|byte| out.extend_from_slice(unescape.push(byte).as_bytes()));
        out.extend_from_slice(unescape.finish().as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_invalid_escape_becomes_a_replacement_character() {
        assert_eq!(
            decode(r"a\x\ud800b\ud83d\u0041\udc00\u12"),
            "a\u{FFFD}\u{FFFD}b\u{FFFD}A\u{FFFD}\u{FFFD}"
        );
        assert_eq!(decode(r"\u1\n"), "\u{FFFD}\n");
    }

    proptest! {
        #[test]
        fn strings_are_decoded_as_by_serde(
            inside in "([a-zé😀 ]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-fA-F]{2}|\\\\ud83d\\\\ude0[0-9]){0,12}",
        ) {
            let expected: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
            prop_assert_eq!(decode(&inside), expected);
        }
    }
}
