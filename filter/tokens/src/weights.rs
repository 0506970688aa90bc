//! The weights that `README.md` recommends: the upper ones are those that the filter ships.

#[path = "../../core/src/body/input/weight.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the filter uses more of it"))]
#[cfg_attr(test, allow(dead_code))]
mod shipped;

pub use shipped::known_words as words;

/// One token.
const TOKEN: usize = 1000;

/// What the upper weights allow a text, in thousandths of a token. The filter's strings end in a quote, so a known word at
/// their end is not told apart from the beginning of a longer one.
pub fn upper_milli_tokens(text: &str) -> usize {
    let mut weigher = shipped::TextWeigher::default();
    weigher.feed(text.as_bytes());
    usize::try_from(weigher.tokens()).unwrap_or(usize::MAX).saturating_mul(TOKEN)
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
            for (first, second) in shipped::joined_pairs() {
                let (first, second) = (char::from(first), char::from(second));
                assert!(vocabulary.joins(first, second), "{first}{second} in {}", vocabulary.name);
            }
            for word in words() {
                let tokens = vocabulary.tokens(&format!("x {word},"));
                assert!(tokens <= vocabulary.tokens("x,") + 1, "{word} in {}", vocabulary.name);
            }
        }
    }
}
