//! Corrupts a text as networks, faulty clients and attackers do.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// Pieces that a parser treats specially.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"null",
    b"true",
    b"1e999",
    b"18446744073709551616",
    b"-1",
    b"\r\n",
    b"\n\n",
    b"data: ",
    b"\xEF\xBB\xBF",
    b"\xff",
    b"\0",
    b"\"model\":\"auto\"",
    b"\"max_tokens\":0",
    b"\"n\":18446744073709551615",
];

/// A text with `0..=most` random changes.
pub fn mutate(random: &mut impl Rng, text: &[u8], most: u32) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..random.random_range(0..=most) {
        change(random, &mut text);
    }
    text
}

fn change(random: &mut impl Rng, text: &mut Vec<u8>) {
    let at = random.random_range(0..=text.len());
    let end = (at + random.random_range(0..32)).min(text.len());
    match random.random_range(0..6) {
        0 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = random.random();
            }
        }
        1 => drop(text.drain(at..end)),
        2 => {
            let copy = text[at..end].to_vec();
            text.splice(at..at, copy);
        }
        3 => text.truncate(at),
        4 => {
            let nested = random.random_range(1..200);
            let bracket = *b"[{".choose(random).unwrap_or(&b'[');
            text.splice(at..at, std::iter::repeat_n(bracket, nested));
        }
        _ => {
            let piece = PIECES.choose(random).copied().unwrap_or_default();
            text.splice(at..at, piece.iter().copied());
        }
    }
}
