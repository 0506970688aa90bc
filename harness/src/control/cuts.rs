//! Ways to cut a body into chunks.
//!
//! A plugin must do the same however the network cuts a body. [`two_pieces`] gives every cut in two, which finds
//! nearly all such bugs; [`random_pieces`] and [`every_byte`] give the rest. An empty piece is never made: no
//! proxy delivers one before the end of a body.

use crate::control::random::Random;

/// Every way to cut `body` in two, and the whole of it first.
pub fn two_pieces(body: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let whole = std::iter::once(vec![body]);
    whole.chain((1..body.len()).map(|cut| vec![&body[..cut], &body[cut..]]))
}

/// `body` byte by byte.
pub fn every_byte(body: &[u8]) -> Vec<&[u8]> {
    body.chunks(1).collect()
}

/// `body` in pieces of 1 to `longest` bytes, as `seed` draws them.
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
    fn every_way_in_two_gives_the_same_body() {
        let ways: Vec<_> = two_pieces(b"abc").collect();
        assert_eq!(ways, [vec![&b"abc"[..]], vec![b"a", b"bc"], vec![b"ab", b"c"]]);
        assert_eq!(two_pieces(b"").collect::<Vec<_>>(), [vec![&b""[..]]]);
    }

    #[test]
    fn random_pieces_are_short_whole_and_repeatable() {
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
