//! The classes of bytes that a scanner can tell apart, as the pieces that an attacker may put together.

/// Pieces of one class.
pub struct Class {
    /// Name in the tables.
    pub name: &'static str,
    /// Its characters: all of them, or a sample where there are very many.
    pub pieces: Vec<String>,
}

/// Every class that is searched.
pub fn all() -> Vec<Class> {
    let class = |name, characters: Vec<char>| Class {
        name,
        pieces: characters.into_iter().map(String::from).collect(),
    };
    vec![
        class("lower-case letters", ascii(char::is_ascii_lowercase)),
        class("upper-case letters", ascii(char::is_ascii_uppercase)),
        class("letters", ascii(char::is_ascii_alphabetic)),
        class("digits", ascii(char::is_ascii_digit)),
        class("punctuation", ascii(char::is_ascii_punctuation)),
        class("spaces", vec![' ']),
        class("white space", vec![' ', '\t', '\n', '\r']),
        class("control", ascii(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r'))),
        class("base64", ascii(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))),
        class("ASCII", ascii(|_| true)),
        class("2-byte", every('\u{80}', '\u{7ff}', 1)),
        class("3-byte", every('\u{800}', '\u{ffff}', 1)),
        class("4-byte", four_byte()),
        class("emoji", every('\u{1f300}', '\u{1faff}', 1)),
    ]
}

/// Pieces of every kind, for texts that mix the classes: characters, words that the weights know, and what may break
/// a rule that looks at neighbours.
pub fn mixed() -> Vec<Class> {
    let letters = ascii(char::is_ascii_alphabetic);
    let mut pieces: Vec<String> = crate::weights::words().map(|word| format!(" {word}")).collect();
    pieces.extend(["'s", "'t", "'re", "'ll", " ", "  ", ".", ",", "\n", "\r\n", "\t"].map(String::from));
    let words = Class { name: "words", pieces: pieces.clone() };
    pieces.truncate(letters.len());
    pieces.extend(letters.into_iter().chain([' ', '\'', '.', '-', '_', '0', '\n']).map(String::from));
    let letters_and_words = Class { name: "letters and words", pieces };
    let combining: Vec<char> =
        [every('\u{c0}', '\u{24f}', 1), every('\u{300}', '\u{36f}', 1), every('\u{1e00}', '\u{1eff}', 1)]
            .concat();
    let combining = combining.into_iter().chain(ascii(char::is_ascii_lowercase)).map(String::from).collect();
    let mut classes = all();
    classes.extend([words, letters_and_words, Class { name: "combining", pieces: combining }]);
    classes
}

fn ascii(keep: fn(&char) -> bool) -> Vec<char> {
    (0..0x80u8).map(char::from).filter(keep).collect()
}

/// A sample of the characters above U+FFFF that has all emoji, symbols and compatibility ideographs.
fn four_byte() -> Vec<char> {
    let dense = [('\u{1d100}', '\u{1d7ff}'), ('\u{1f300}', '\u{1faff}'), ('\u{2f800}', '\u{2fa1d}')];
    let mut characters: Vec<char> = dense.into_iter().flat_map(|(from, to)| every(from, to, 1)).collect();
    characters.extend(every('\u{10000}', '\u{1ffff}', 31));
    characters.extend(every('\u{20000}', '\u{10ffff}', 997));
    characters
}

/// Every `step`th character of a range.
fn every(from: char, to: char, step: usize) -> Vec<char> {
    (from..=to).step_by(step).collect()
}
