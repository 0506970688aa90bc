//! The weights that `README.md` recommends, as a scanner would apply them.
//!
//! Upper weights bound what any of the measured vocabularies makes of a text. A byte makes one token at most, and for
//! most classes nothing better is true; three rules save what honest text would else be reserved for too much:
//!
//! - a known word with the one space before it is one token;
//! - of two letters side by side that join in every vocabulary, at most one stays a token of its own;
//! - a few characters grow when a vocabulary normalises its text, and weigh more than their bytes.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One token.
const TOKEN: usize = 1000;

static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| words().collect());
static PAIRS: LazyLock<HashSet<(u8, u8)>> = LazyLock::new(|| {
    let lines = include_str!("pairs.txt").lines().filter_map(|line| line.as_bytes().split_first());
    lines.flat_map(|(first, seconds)| seconds.iter().map(|second| (*first, *second))).collect()
});
/// Ranges of characters that normalisation may make longer, and the bytes that one can become.
static GROWN: LazyLock<Vec<(u32, u32, usize)>> = LazyLock::new(|| {
    let number =
        |text: Option<&str>, radix| u32::from_str_radix(text.unwrap_or_default(), radix).unwrap_or_default();
    let range = |line: &str| {
        let mut fields = line.split(' ');
        let (from, to) = (number(fields.next(), 16), number(fields.next(), 16));
        (from, to, number(fields.next(), 10) as usize)
    };
    include_str!("grown.txt").lines().map(range).collect()
});

/// The known words.
pub fn words() -> impl Iterator<Item = &'static str> {
    include_str!("words.txt").lines()
}

/// What the upper weights allow a text, in thousandths of a token.
pub fn upper_milli_tokens(text: &str) -> usize {
    let mut sum = 0;
    let mut rest = text;
    let mut before = '\n';
    while let Some(c) = rest.chars().next() {
        let word = joined_letters(rest, before);
        let length = if word.is_empty() { c.len_utf8() } else { word.len() };
        sum += match word.strip_prefix(' ') {
            Some(known) if WORDS.contains(known) && ends_word(&rest[length..]) => TOKEN,
            _ if word.is_empty() => upper_of_character(c),
            _ => letters(word, before) * TOKEN,
        };
        before = rest[..length].chars().next_back().unwrap_or(c);
        rest = &rest[length..];
    }
    sum
}

/// The letters at the head of a text, with the one space before them.
fn joined_letters(text: &str, before: char) -> &str {
    let space = text.starts_with(' ') && !before.is_whitespace();
    let letters = &text[usize::from(space)..];
    let length = letters.bytes().take_while(u8::is_ascii_alphabetic).count();
    if length == 0 { "" } else { &text[..usize::from(space) + length] }
}

/// Whether nothing that could belong to a word follows.
fn ends_word(rest: &str) -> bool {
    rest.bytes().next().is_none_or(|byte| b" .,;:!?)\n".contains(&byte))
}

/// The most tokens that letters can make, by the pairs that join.
fn letters(word: &str, before: char) -> usize {
    // The most tokens up to here whose last one is a single letter, and whose last one is longer.
    let (mut single, mut longer) = (1, 0);
    let mut without_last = 0;
    for (place, pair) in word.as_bytes().windows(2).enumerate() {
        // English contractions are parted from what follows them: 's, 't, 'll and the like.
        let parted = before == '\'' && place < 2;
        let joined = PAIRS.contains(&(pair[0], pair[1])) && !parted;
        let next = (1 + if joined { longer } else { single.max(longer) }, 1 + without_last);
        without_last = single.max(longer);
        (single, longer) = next;
    }
    single.max(longer)
}

fn upper_of_character(c: char) -> usize {
    let code = u32::from(c);
    let grown =
        GROWN.iter().find(|(from, to, _)| (*from..=*to).contains(&code)).map_or(0, |(.., bytes)| *bytes);
    c.len_utf8().max(grown) * TOKEN
}

/// What honest text usually makes, in thousandths of a token.
pub fn usual_milli_tokens(text: &str) -> usize {
    let mut sum = 0;
    let mut before = '\n';
    for c in text.chars() {
        sum += match c {
            'a'..='z' => 230,
            'A'..='Z' => 400,
            '0'..='9' => 700,
            ' ' if before == ' ' => 30,
            ' ' => 50,
            '\t' | '\r' | '\n' => 400,
            _ if c.is_ascii() => 600,
            _ if c.len_utf8() < 4 => c.len_utf8() * 270,
            _ => 4 * 450,
        };
        before = c;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{honest, vocabularies};

    #[test]
    fn letters_weigh_by_what_joins() {
        let cases = [
            ("zvzvzv", 6, "no two of them join"),
            ("th", 1, "they join"),
            ("the", 2, "one of them may stay alone"),
            ("x the,", 3, "a known word"),
            ("x theq,", 5, "no known word: x, a comma, and three for four letters and a space, q alone"),
            ("'sth", 4, "a contraction may end after s or t"),
            ("THE", 2, "capitals join too"),
            ("aB", 2, "some vocabularies part words at a capital"),
        ];
        for (text, tokens, why) in cases {
            assert_eq!(upper_milli_tokens(text), tokens * TOKEN, "{text}: {why}");
        }
    }

    #[test]
    fn other_characters_weigh_their_bytes_or_what_they_can_grow_to() {
        let cases = [
            ("  ", 2),
            ("7", 1),
            ("\u{e9}", 2),
            ("\u{4e2d}", 3),
            ("\u{1f600}", 4),
            ("\u{fdfa}", 33),
            ("\u{1d160}", 12),
        ];
        for (text, tokens) in cases {
            assert_eq!(upper_milli_tokens(text), tokens * TOKEN, "{text}");
        }
    }

    #[test]
    fn honest_text_stays_below_the_upper_weights() {
        for vocabulary in vocabularies::load(None).expect("the embedded vocabularies load") {
            for (name, text) in honest::texts() {
                let (tokens, upper) = (vocabulary.tokens(text), upper_milli_tokens(text));
                assert!(tokens * TOKEN <= upper, "{name}, {}: {tokens} of {upper}", vocabulary.name);
            }
        }
    }

    #[test]
    fn embedded_vocabularies_agree_with_the_tables() {
        for vocabulary in vocabularies::load(None).expect("the embedded vocabularies load") {
            for (first, second) in PAIRS.iter() {
                let (first, second) = (char::from(*first), char::from(*second));
                assert!(vocabulary.joins(first, second), "{first}{second} in {}", vocabulary.name);
            }
            for word in words() {
                let tokens = vocabulary.tokens(&format!("x {word},"));
                assert!(tokens <= vocabulary.tokens("x,") + 1, "{word} in {}", vocabulary.name);
            }
        }
    }
}
