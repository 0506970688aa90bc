//! Quotes untrusted text in our own messages.
//!
//! Error messages quote what was found in a configuration or an archive. A line break in it would forge a line of
//! the log, and a megabyte of it would fill the disk, so it is escaped and cut.

use std::fmt::{Display, Formatter, Result, Write};

/// Most characters of a quoted text.
pub const MAX_CHARS: usize = 1000;

/// A text as one line: control characters escaped, and no more than [`MAX_CHARS`] of it.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (mut chars, mut left) = (self.0.chars(), MAX_CHARS);
        for letter in chars.by_ref() {
            let is_break = letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
            if is_break {
                write!(f, "{}", letter.escape_default())?
            } else {
                f.write_char(letter)?
            }
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_is_escaped() {
        assert_eq!(OneLine("a `b\nc\u{1b}[0m\u{2028}é`").to_string(), "a `b\\nc\\u{1b}[0m\\u{2028}é`");
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "é".repeat(MAX_CHARS);
        assert_eq!(OneLine(&text).to_string(), text);
        assert_eq!(OneLine(&format!("{text}x")).to_string(), format!("{text}…"));
    }
}
