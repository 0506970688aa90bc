//! The most tokens that a text can make: the bound on which a reservation for input rests.
//!
//! A byte-pair encoder makes one token per byte at most, and that bound is reached in every class of bytes: letters that no
//! vocabulary joins, digits, punctuation, rare characters. Two rules keep honest prose from being reserved three times over;
//! `filter/tokens` measures them on real vocabularies and searches for texts that break them:
//!
//! * a known word with the one space before it, followed by a space or by punctuation, is one token;
//! * of two letters side by side that join in every vocabulary, at most one stays a token of its own.
//!
//! Some characters weigh more than their bytes, because a vocabulary normalises its text (form C or KC) first.
//!
//! What must always hold: the bound does not depend on how the text is cut, and a byte never weighs nothing, but for the
//! letters that the two rules join. The file imports nothing of the crate, so that `filter/tokens` tests what ships.

use std::sync::OnceLock;

/// Slots for the hashes of the known words, a power of two above twice their number.
const SLOTS: usize = 1 << 13;
/// FNV-1a, 64 bit (draft-eastlake-fnv): offset basis and prime.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Bytes of U+FFFD, which some readers put in place of a byte that is not UTF-8.
const REPLACEMENT_BYTES: u64 = 3;

/// What all vocabularies have in common.
struct Tables {
    /// Hashes of known words, by open addressing; 0 is empty.
    words: Vec<u64>,
    /// For each first byte of a pair, a bit for each second one that it joins.
    pairs: [u128; 128],
    /// Ranges of characters that normalisation makes longer, and the bytes that one can become.
    grown: Vec<(u32, u32, u64)>,
}

impl Tables {
    fn get() -> &'static Tables {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(Tables::read)
    }

    fn read() -> Tables {
        let mut tables = Tables { words: vec![0; SLOTS], pairs: [0; 128], grown: Vec::new() };
        for word in known_words() {
            let hash = word.bytes().fold(FNV_BASIS, hash_with);
            if let Some(slot) = tables.words_from(hash).find(|slot| tables.words.get(*slot) == Some(&0))
                && let Some(place) = tables.words.get_mut(slot)
            {
                *place = hash;
            }
        }
        for (first, second) in joined_pairs() {
            if let Some(seconds) = tables.pairs.get_mut(usize::from(first)) {
                *seconds |= bit(second);
            }
        }
        for line in include_str!("tables/grown.txt").lines() {
            let mut fields = line.split(' ');
            let mut next = |radix| u32::from_str_radix(fields.next()?, radix).ok();
            if let (Some(from), Some(to), Some(bytes)) = (next(16), next(16), next(10)) {
                tables.grown.push((from, to, u64::from(bytes)));
            }
        }
        tables
    }

    fn words_from(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let first = usize::try_from(hash & (SLOTS as u64).wrapping_sub(1)).unwrap_or(0);
        (0..SLOTS).map(move |step| first.wrapping_add(step) & SLOTS.wrapping_sub(1))
    }

    fn knows(&self, hash: u64) -> bool {
        let mut stored = self.words_from(hash).filter_map(|slot| self.words.get(slot));
        stored.find(|stored| **stored == hash || **stored == 0) == Some(&hash)
    }

    fn joins(&self, first: u8, second: u8) -> bool {
        self.pairs.get(usize::from(first)).is_some_and(|seconds| seconds & bit(second) != 0)
    }

    /// The most tokens of one character above ASCII.
    fn character(&self, character: char) -> u64 {
        let code = u32::from(character);
        let range = self.grown.partition_point(|(_, to, _)| *to < code);
        let grown = self.grown.get(range).filter(|(from, ..)| *from <= code).map_or(0, |(.., bytes)| *bytes);
        grown.max(character.len_utf8() as u64)
    }
}

/// Builds the tables, so that the first request does not wait for it.
pub fn prepare() {
    Tables::get();
}

/// The known words.
pub fn known_words() -> impl Iterator<Item = &'static str> {
    include_str!("tables/words.txt").lines()
}

/// The pairs of letters, or of a space and a letter, that every vocabulary joins.
pub fn joined_pairs() -> impl Iterator<Item = (u8, u8)> {
    let lines = include_str!("tables/pairs.txt").lines().filter_map(|line| line.as_bytes().split_first());
    lines.flat_map(|(first, seconds)| seconds.iter().map(|second| (*first, *second)))
}

fn bit(byte: u8) -> u128 {
    1u128.checked_shl(u32::from(byte)).unwrap_or(0)
}

fn hash_with(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// The character before the one that is read, as far as the rules ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// White space, or the beginning of the text.
    #[default]
    White,
    Apostrophe,
    Other,
}

/// Weighs a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct TextWeigher {
    tokens: u64,
    before: Before,
    /// One space was read that may belong to the word behind it.
    space: bool,
    word: Word,
    /// Bytes of a character above ASCII, and how many of them are still missing.
    character: [u8; 4],
    have: usize,
    missing: usize,
}

/// The letters being read, with the one space before them.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bytes: u64,
    last: u8,
    hash: u64,
    has_space: bool,
    /// It stands behind an apostrophe: English contractions are parted from what follows them.
    is_contraction: bool,
    /// The most tokens up to here whose last one is a single letter; whose last one is longer; without the last letter.
    single: u64,
    longer: u64,
    without_last: u64,
}

impl Word {
    fn most_tokens(&self) -> u64 {
        self.single.max(self.longer)
    }

    fn push(&mut self, byte: u8) {
        if self.bytes == 0 {
            (self.single, self.longer, self.without_last) = (1, 0, 0);
        } else {
            let parted = self.is_contraction && self.bytes <= 2;
            let joined = !parted && Tables::get().joins(self.last, byte);
            let before = if joined { self.longer } else { self.most_tokens() };
            let (single, longer) = (before.saturating_add(1), self.without_last.saturating_add(1));
            self.without_last = self.most_tokens();
            (self.single, self.longer) = (single, longer);
        }
        self.last = byte;
        self.bytes = self.bytes.saturating_add(1);
    }
}

impl TextWeigher {
    /// Reads the next bytes.
    pub fn feed(&mut self, piece: &[u8]) {
        piece.iter().for_each(|byte| self.push(*byte));
    }

    /// The most tokens of what was read. What follows may still join the last word to something else, so that it counts by
    /// its letters, even where it is a known one.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let pending = u64::from(self.space).saturating_add(self.word.most_tokens());
        let unfinished = (self.have as u64).saturating_mul(REPLACEMENT_BYTES);
        self.tokens.saturating_add(pending).saturating_add(unfinished)
    }

    fn push(&mut self, byte: u8) {
        if byte.is_ascii_alphabetic() {
            self.letter(byte);
            return;
        }
        self.end_word(byte);
        match byte {
            0x80.. => self.above_ascii(byte),
            b' ' if self.before != Before::White => {
                self.end_character();
                self.space = true;
            }
            _ => {
                self.end_character();
                let before = match byte {
                    b'\t'..=b'\r' | b' ' => Before::White,
                    b'\'' => Before::Apostrophe,
                    _ => Before::Other,
                };
                self.add(1, before);
            }
        }
    }

    fn letter(&mut self, byte: u8) {
        self.end_character();
        if self.word.bytes == 0 {
            let is_contraction = self.before == Before::Apostrophe;
            self.word = Word { hash: FNV_BASIS, has_space: self.space, is_contraction, ..Word::default() };
            if self.space {
                self.word.push(b' ');
                self.space = false;
            }
        }
        self.word.push(byte);
        self.word.hash = hash_with(self.word.hash, byte);
    }

    /// Ends the word before `next`, or the space that no letter followed.
    fn end_word(&mut self, next: u8) {
        if self.word.bytes > 0 {
            let ends = matches!(next, b' ' | b'.' | b',' | b';' | b':' | b'!' | b'?' | b')' | b'\n');
            let known = self.word.has_space && ends && Tables::get().knows(self.word.hash);
            let tokens = if known { 1 } else { self.word.most_tokens() };
            self.word = Word::default();
            self.add(tokens, Before::Other);
        } else if self.space {
            self.space = false;
            self.add(1, Before::White);
        }
    }

    fn above_ascii(&mut self, byte: u8) {
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        let continues = (0x80..=0xBF).contains(&byte) && self.missing > 0;
        if !continues {
            self.end_character();
            if length == 0 {
                return self.add(REPLACEMENT_BYTES, Before::Other);
            }
            self.missing = length;
        }
        if let Some(place) = self.character.get_mut(self.have) {
            *place = byte;
        }
        self.have = self.have.saturating_add(1);
        self.missing = self.missing.saturating_sub(1);
        if self.missing == 0 {
            self.end_character();
        }
    }

    /// Ends a character above ASCII, or its bytes where they are none.
    fn end_character(&mut self) {
        if self.have == 0 {
            return;
        }
        let bytes = self.character.get(..self.have).unwrap_or_default();
        let character = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
        let (tokens, before) = match character {
            Some(found) if found.is_whitespace() => (Tables::get().character(found), Before::White),
            Some(found) => (Tables::get().character(found), Before::Other),
            None => ((self.have as u64).saturating_mul(REPLACEMENT_BYTES), Before::Other),
        };
        (self.have, self.missing) = (0, 0);
        self.add(tokens, before);
    }

    fn add(&mut self, tokens: u64, before: Before) {
        self.tokens = self.tokens.saturating_add(tokens);
        self.before = before;
    }
}
