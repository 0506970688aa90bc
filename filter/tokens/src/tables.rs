//! Writes the tables that the upper weights of letters rest on.

use crate::vocabularies::Vocabulary;
use std::fmt::Write as _;
use tokenizers::{NormalizedString, Normalizer, normalizers};

/// Words in the table: more of them cost memory in the filter and save little.
const WORDS: usize = 4000;

/// Marks that make a composed character before them longer: at most by this many bytes.
const BREAKING_MARKS: (std::ops::RangeInclusive<char>, usize) = ('\u{31b}'..='\u{331}', 5);
/// Characters between two that grow which join their range: a shorter table, a little more for a few symbols.
const GAP: u32 = 8;

/// Writes `src/words.txt` and `src/pairs.txt` from what all the vocabularies agree on, and `src/grown.txt`.
pub fn write(vocabularies: &[Vocabulary]) -> Result<(), String> {
    let agreed = |word: &String| vocabularies.iter().all(|vocabulary| is_one_token(vocabulary, word));
    let candidates = vocabularies.first().map(Vocabulary::words).unwrap_or_default();
    let mut words: Vec<String> = candidates.into_iter().filter(agreed).take(WORDS).collect();
    words.sort();
    let mut pairs = String::new();
    for first in (b' '..=b'z').map(char::from).filter(|c| *c == ' ' || c.is_ascii_alphabetic()) {
        let joins = |second: &char| vocabularies.iter().all(|vocabulary| vocabulary.joins(first, *second));
        // Some vocabularies part words before a capital that follows a small letter, so such pairs promise nothing.
        let after =
            ('A'..='z').filter(|c| c.is_ascii_lowercase() || c.is_ascii_uppercase() && !first.is_lowercase());
        let seconds: String = after.filter(joins).collect();
        let _ = writeln!(pairs, "{first}{seconds}");
    }
    let save =
        |path: &str, text: &str| std::fs::write(path, text).map_err(|error| format!("{path}: {error}"));
    save("src/words.txt", &(words.join("\n") + "\n"))?;
    save("src/pairs.txt", &pairs)?;
    save("src/grown.txt", &grown())
}

/// Ranges of characters that normalisation form C or KC makes longer, with the bytes of the longest.
fn grown() -> String {
    let mut ranges: Vec<(u32, u32, usize)> = Vec::new();
    for c in '\u{80}'..=char::MAX {
        let mark = if BREAKING_MARKS.0.contains(&c) { BREAKING_MARKS.1 } else { 0 };
        let bytes =
            normalised_bytes(&normalizers::NFC, c).max(normalised_bytes(&normalizers::NFKC, c)).max(mark);
        if bytes <= c.len_utf8() {
            continue;
        }
        match ranges.last_mut() {
            Some((_, to, most)) if u32::from(c) - *to <= GAP => {
                (*to, *most) = (u32::from(c), bytes.max(*most))
            }
            _ => ranges.push((u32::from(c), u32::from(c), bytes)),
        }
    }
    ranges.iter().map(|(from, to, bytes)| format!("{from:x} {to:x} {bytes}\n")).collect()
}

fn normalised_bytes(form: &impl Normalizer, c: char) -> usize {
    let mut text = NormalizedString::from(c.to_string());
    form.normalize(&mut text).map_or(usize::MAX, |()| text.get().len())
}

/// Whether a word and the space before it make one token at most, whatever ends the word.
fn is_one_token(vocabulary: &Vocabulary, word: &str) -> bool {
    let ends = [",", ".", "\n", " a", ")", ":", "!", "?", ";"];
    ends.iter().all(|end| {
        let without = vocabulary.tokens(&format!("x{end}"));
        vocabulary.tokens(&format!("x {word}{end}")) <= without + 1
    })
}
