//! The adversarial search: hill climbing over repeated units of pieces.

use crate::vocabularies::Vocabulary;
use crate::{classes, weights};

/// Pieces of a repeated unit.
const UNIT: usize = 24;
/// Changes that are tried on one starting point.
const STEPS: usize = 3000;
/// Starting points.
const STARTS: usize = 5;
/// Pairs of pieces that are tried, repeated.
const PAIRS: usize = 3000;

/// The densest text that was found.
pub struct Densest {
    /// Tokens for 1000 bytes of the unit, repeated.
    pub milli_tokens_per_byte: usize,
    /// The unit.
    pub unit: String,
}

/// Searches the text of the given pieces that makes the most tokens per byte.
pub fn densest(vocabulary: &Vocabulary, pieces: &[String]) -> Densest {
    let mut random = Random(0x5eed);
    let density = |unit: &[&str]| {
        let text = unit.concat();
        inner_milli_tokens(vocabulary, &text) / text.len()
    };
    // Each piece alone, then pairs of the densest ones and of any, then changes of the best and of random units.
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let mut alone: Vec<(usize, &str)> =
        pieces.iter().map(|piece| (density(&[*piece; UNIT]), *piece)).collect();
    alone.sort_by_key(|(density, _)| std::cmp::Reverse(*density));
    let top: Vec<&str> = alone.iter().take(64).map(|(_, piece)| *piece).collect();
    let mut best = (alone[0].0, vec![alone[0].1; UNIT]);
    for trial in 0..PAIRS {
        let from = if trial % 2 == 0 { &top } else { &pieces };
        let unit = [random.pick(from), random.pick(from)].repeat(UNIT / 2);
        best = better(best, (density(&unit), unit));
    }
    for start in 0..STARTS {
        let mut current = match start {
            0 => best.clone(),
            _ => {
                let from = if start == 1 { &top } else { &pieces };
                let unit: Vec<&str> = (0..UNIT).map(|_| random.pick(from)).collect();
                (density(&unit), unit)
            }
        };
        for _ in 0..STEPS {
            let mut next = current.1.clone();
            let from = if random.below(2) == 0 { &top } else { &pieces };
            change(&mut next, &mut random, from);
            let value = density(&next);
            if value >= current.0 {
                current = (value, next);
            }
        }
        best = better(best, current);
    }
    Densest { milli_tokens_per_byte: best.0, unit: best.1.concat() }
}

/// Tokens of a unit within its repetition, in thousandths: what the ends of a text add does not count.
fn inner_milli_tokens(vocabulary: &Vocabulary, unit: &str) -> usize {
    let once = vocabulary.tokens(unit);
    vocabulary.tokens(&unit.repeat(5)).saturating_sub(once) * 1000 / 4
}

fn better<'a>(best: (usize, Vec<&'a str>), other: (usize, Vec<&'a str>)) -> (usize, Vec<&'a str>) {
    if other.0 > best.0 { other } else { best }
}

/// One random change: a piece, a copied part, a repeated pair or an exchange.
fn change<'a>(unit: &mut [&'a str], random: &mut Random, pieces: &[&'a str]) {
    let (at, other) = (random.below(unit.len()), random.below(unit.len()));
    match random.below(5) {
        0..2 => unit[at] = random.pick(pieces),
        2 => unit.swap(at, other),
        3 => {
            let length = 1 + random.below(unit.len() - at.max(other));
            unit.copy_within(at..at + length, other);
        }
        _ => {
            let pair = [random.pick(pieces), random.pick(pieces)];
            let length = 2 + random.below(6);
            for (place, piece) in unit.iter_mut().skip(at).take(length).zip(pair.iter().cycle()) {
                *place = piece;
            }
        }
    }
}

/// A text against the weights.
pub struct AgainstWeights {
    /// Tokens that it makes.
    pub tokens: usize,
    /// Tokens that the weights allow it, in thousandths.
    pub allowed_milli_tokens: usize,
    /// The text.
    pub text: String,
}

/// Searches the text that exceeds, or comes closest to, what the weights allow.
pub fn worst_for_weights(vocabulary: &Vocabulary) -> AgainstWeights {
    let mut random = Random(0x5eed);
    let classes = classes::mixed();
    let pieces: Vec<Vec<&str>> =
        classes.iter().map(|class| class.pieces.iter().map(String::as_str).collect()).collect();
    // A text's own beginning may cost one token more (SentencePiece puts a space before it): measured inside.
    let value = |unit: &[&str]| {
        let unit = unit.concat();
        let text = unit.repeat(4);
        let tokens = vocabulary.tokens(&format!("{unit}{text}")).saturating_sub(vocabulary.tokens(&unit));
        let whole = weights::upper_milli_tokens(&format!("{unit}{text}"));
        let allowed_milli_tokens = whole - weights::upper_milli_tokens(&unit);
        let excess = tokens as i64 * 1000 - allowed_milli_tokens as i64;
        (excess, AgainstWeights { tokens, allowed_milli_tokens, text })
    };
    let mut best: Option<(i64, AgainstWeights)> = None;
    for own in &pieces {
        for start in 0..STARTS {
            // Half of the units are of one class; the others are mixed, since the weights of classes are added.
            let mut unit: Vec<&str> = (0..UNIT).map(|_| random.pick(own)).collect();
            let mut reached = value(&unit);
            for _ in 0..STEPS / 3 {
                let mut next = unit.clone();
                let foreign = start % 2 == 1 && random.below(4) == 0;
                let from = if foreign { &pieces[random.below(pieces.len())] } else { own };
                change(&mut next, &mut random, from);
                let tried = value(&next);
                if tried.0 >= reached.0 {
                    (reached, unit) = (tried, next);
                }
            }
            if best.as_ref().is_none_or(|best| reached.0 > best.0) {
                best = Some(reached);
            }
        }
    }
    best.expect("there is a class").1
}

/// Random numbers, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
