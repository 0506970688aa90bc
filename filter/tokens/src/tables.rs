//! Writes the tables that the upper weights of letters rest on.

use crate::vocabularies::Vocabulary;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use tokenizers::{NormalizedString, Normalizer, normalizers};

/// The folder of the tables that the filter ships.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/src/body/input/tables");
/// Words in the table: more of them cost memory in the filter and save little.
const WORDS: usize = 4000;

/// What the normaliser at hand does not show, with its bytes: marks that make a composed character before them longer,
/// and the square era name Reiwa, which is younger than its tables.
const FURTHER: [(RangeInclusive<char>, usize); 2] =
    [('\u{31b}'..='\u{331}', 5), ('\u{32ff}'..='\u{32ff}', 6)];
/// Characters between two that grow which join their range: a shorter table, a little more for a few symbols.
const GAP: u32 = 8;

/// Writes `words.txt` and `pairs.txt` from what all the vocabularies agree on, and `grown.txt`.
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
    save(&format!("{TABLES}/words.txt"), &(words.join("\n") + "\n"))?;
    save(&format!("{TABLES}/pairs.txt"), &pairs)?;
    save(&format!("{TABLES}/grown.txt"), &grown())
}

/// Ranges of characters that normalisation form C or KC makes longer, with the bytes of the longest.
fn grown() -> String {
    let mut ranges: Vec<(u32, u32, usize)> = Vec::new();
    let mut counts = [0_usize; 2];
    for c in '\u{80}'..=char::MAX {
        let further = FURTHER.iter().find(|(range, _)| range.contains(&c)).map_or(0, |(_, bytes)| *bytes);
        let forms = [normalised_bytes(&normalizers::NFC, c), normalised_bytes(&normalizers::NFKC, c)];
        for (count, bytes) in counts.iter_mut().zip(forms) {
            *count += usize::from(bytes > c.len_utf8());
        }
        let bytes = forms[0].max(forms[1]).max(further);
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
    println!("form C makes {} characters longer, form KC {}", counts[0], counts[1]);
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
