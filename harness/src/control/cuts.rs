//! Ways to split a body into chunks.
//!
//! A plugin must behave the same however the network splits a body. [`two_pieces`] returns every split in two, which
//! finds nearly all such bugs; [`random_pieces`] and [`every_byte`] find the rest. No piece is empty, because no proxy
//! delivers an empty chunk before the end of a body.

use crate::control::random::Random;

/// The whole `body` first, then every split of it in two.
pub fn two_pieces(body: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let whole = std::iter::once(vec![body]);
    whole.chain((1..body.len()).map(|cut| vec![&body[..cut], &body[cut..]]))
}

/// `body` in pieces of one byte.
pub fn every_byte(body: &[u8]) -> Vec<&[u8]> {
    body.chunks(1).collect()
}

/// `body` in pieces of 1 to `longest` bytes, drawn from `seed`.
pub fn random_pieces(body: &[u8], longest: usize, seed: u64) -> Vec<&[u8]> {
    let mut random = Random::new(seed, 0);
    let (mut pieces, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let length = 1 + random.below(longest.max(1) as u64) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_in_two_is_returned_once() {
        let ways: Vec<_> = two_pieces(b"abc").collect();
        assert_eq!(ways, [vec![&b"abc"[..]], vec![b"a", b"bc"], vec![b"ab", b"c"]]);
        assert_eq!(two_pieces(b"").collect::<Vec<_>>(), [vec![&b""[..]]]);
    }

    #[test]
    fn random_pieces_are_short_complete_and_repeatable() {
        let body: Vec<u8> = (0..200).collect();
        for seed in 0..50 {
            let pieces = random_pieces(&body, 7, seed);
            assert_eq!(pieces.concat(), body);
            assert!(pieces.iter().all(|piece| (1..=7).contains(&piece.len())));
            assert_eq!(random_pieces(&body, 7, seed), pieces);
        }
        assert_ne!(random_pieces(&body, 7, 1), random_pieces(&body, 7, 2));
    }
}
