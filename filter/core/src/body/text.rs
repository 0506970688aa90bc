//! Text features: hashed tokens of the last user message, from which a policy infers the subject of a request.
//!
//! A message is cut into tokens, each token and each pair of neighbours is hashed into one of [`TEXT_BUCKETS`]
//! counters (feature hashing, Weinberger et al. 2009, arXiv 0902.2206), and the counters are what leaves this module:
//! no text is kept, and none can be read back. Tokens are
//!
//! * a word: a run of ASCII letters, lower-cased, and of bytes above 127 (so words of any script in UTF-8);
//! * a number: a run of ASCII digits, all numbers alike;
//! * any other printable ASCII character by itself: `$`, `=`, `{` distinguish mathematics and code from prose.
//!
//! What must always hold: the result depends on the bytes and not on how they were cut into chunks; a byte costs a
//! few instructions and no allocation; at most [`MAX_TEXT_BYTES`] are read, so a long message costs no more than
//! that. The caller decodes the escapes of a JSON string first, because the trainer hashes decoded
//! prompts.
//!
//! The number of buckets was chosen by how well a ridge regression on them predicts the gap in quality between two
//! models: its five-fold cross-validated correlation on 10,563 prompts is 0.147 for 64 buckets, 0.149 for 128, 0.158
//! for 256, 0.166 for 512 and 0.169 for 1024, with a standard error of 0.010 (`trainer/bench/text_buckets.py`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Counters of a message.
pub const TEXT_BUCKETS: usize = 512;
/// Bytes of a message that are read; what follows is ignored.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Tokens below which a message's counters are not recorded.
pub const LEAST_TOKENS: u32 = 16;

/// The buckets are a power of two, so a bucket is the lowest bits of a hash.
const BUCKET_MASK: u64 = TEXT_BUCKETS as u64 - 1;
const _: () = assert!(TEXT_BUCKETS.is_power_of_two());
/// FNV-1a, 64 bit (draft-eastlake-fnv): offset basis and prime.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Sets the two members of a pair apart, so that `a b` and `b a` differ.
const PAIR_FACTOR: u64 = 31;

/// Text features of one message; by default, of no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextFeatures {
    counts: [u8; TEXT_BUCKETS],
    seen: bool,
}

impl Default for TextFeatures {
    fn default() -> Self {
        TextFeatures { counts: [0; TEXT_BUCKETS], seen: false }
    }
}

impl TextFeatures {
    /// Counts a whole message at once.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hasher = TextHasher::default();
        hasher.feed(text.as_bytes());
        hasher.finish()
    }

    /// No text was seen: in headers mode, when the message is beyond what was read, or when it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.seen
    }

    /// The message is long enough that its counters cannot be matched against a list of likely sentences: it has at least
    /// [`LEAST_TOKENS`] of its tokens, of which each counts once, and once more with its neighbour.
    #[must_use]
    pub fn is_long(&self) -> bool {
        let counted: u32 = self.counts.iter().map(|count| u32::from(*count)).fold(0, u32::saturating_add);
        counted >= LEAST_TOKENS.saturating_mul(2)
    }

    /// The counters, each at most 255.
    #[must_use]
    pub fn counts(&self) -> &[u8; TEXT_BUCKETS] {
        &self.counts
    }

    /// The counters in base64, for records; `None` where no text was seen.
    #[must_use]
    pub fn to_base64(&self) -> Option<String> {
        self.seen.then(|| BASE64_STANDARD_NO_PAD.encode(self.counts))
    }

    /// Reads what [`TextFeatures::to_base64`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let counts = BASE64_STANDARD_NO_PAD.decode(text).ok()?;
        Some(TextFeatures { counts: counts.try_into().ok()?, seen: true })
    }

    /// The counters as a vector of length 1 (0 where nothing was counted), in which each bucket weighs `ln(1 + count)`:
    /// a word that occurs often says little more than one that occurs twice, and the length of the message is a feature
    /// of its own.
    pub fn scaled(&self) -> impl Iterator<Item = f32> {
        let mut scaled = [0.0; TEXT_BUCKETS];
        self.write_scaled(&mut scaled);
        scaled.into_iter()
    }

    /// Writes [`Self::scaled`] over zeros.
    ///
    /// A short message fills a dozen counters, so eight empty ones are passed over at once: one by one, this was the
    /// most expensive part of a turn.
    pub(crate) fn write_scaled(&self, zeros: &mut [f32; TEXT_BUCKETS]) {
        let mut square = 0.0;
        for (weights, counts) in self.filled(zeros) {
            for (weight, count) in weights.iter_mut().zip(counts).filter(|(_, count)| **count > 0) {
                *weight = f32::from(*count).ln_1p();
                square += *weight * *weight;
            }
        }
        let length = if square > 0.0 { square.sqrt() } else { 1.0 };
        self.filled(zeros).for_each(|(weights, _)| weights.iter_mut().for_each(|weight| *weight /= length));
    }

    /// Eight counters at a time, and their weights; those that are all 0 are left out.
    fn filled<'a>(
        &'a self,
        weights: &'a mut [f32; TEXT_BUCKETS],
    ) -> impl Iterator<Item = (&'a mut [f32; 8], &'a [u8; 8])> {
        let (weights, counts) = (weights.as_chunks_mut::<8>().0, self.counts.as_chunks::<8>().0);
        weights.iter_mut().zip(counts).filter(|(_, counts)| u64::from_ne_bytes(**counts) != 0)
    }
}

/// Counts a message that comes in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextHasher {
    features: TextFeatures,
    bytes_read: usize,
    /// The token being read: its kind and the hash of its bytes so far.
    open: Option<(Kind, u64)>,
    /// Hash of the token before it.
    previous: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
}

impl TextHasher {
    /// Reads the next bytes of the message.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = MAX_TEXT_BYTES.saturating_sub(self.bytes_read);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.bytes_read = self.bytes_read.saturating_add(bytes.len());
        self.features.seen |= !bytes.is_empty();
        bytes.iter().for_each(|byte| self.step(*byte));
    }

    /// No byte was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes_read == 0
    }

    /// Forgets everything: a new message begins.
    pub fn reset(&mut self) {
        *self = TextHasher::default();
    }

    /// What was counted so far; a token that is still open counts as ended.
    #[must_use]
    pub fn finish(&self) -> TextFeatures {
        let mut ended = self.clone();
        ended.end_token();
        ended.features
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 128.. => {
                let hash = self.continued(Kind::Word);
                self.open = Some((Kind::Word, fnv(hash, byte.to_ascii_lowercase())));
            }
            b'0'..=b'9' => {
                self.continued(Kind::Number);
                self.open = Some((Kind::Number, fnv(FNV_BASIS, b'0')));
            }
            0..=b' ' | 127 => self.end_token(),
            _ => {
                self.end_token();
                self.count_token(fnv(FNV_BASIS, byte));
            }
        }
    }

    /// Hash of the open token, or a new token's where it is of another kind.
    fn continued(&mut self, kind: Kind) -> u64 {
        match self.open {
            Some((open, hash)) if open == kind => hash,
            _ => {
                self.end_token();
                FNV_BASIS
            }
        }
    }

    fn end_token(&mut self) {
        if let Some((_, hash)) = self.open.take() {
            self.count_token(hash);
        }
    }

    fn count_token(&mut self, hash: u64) {
        self.count(hash);
        if let Some(previous) = self.previous.replace(hash) {
            self.count(previous.wrapping_mul(PAIR_FACTOR) ^ hash);
        }
    }

    fn count(&mut self, hash: u64) {
        let bucket = mixed(hash) & BUCKET_MASK;
        if let Some(count) = usize::try_from(bucket).ok().and_then(|k| self.features.counts.get_mut(k)) {
            *count = count.saturating_add(1);
        }
    }
}

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// Spreads all bits of a hash over its lowest ones: FNV's own lowest bits see too little of the first bytes. (The
/// first half of MurmurHash3's finaliser.)
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pieces::pieces;
    use proptest::prelude::*;

    fn total(text: &str) -> u32 {
        TextFeatures::of(text).counts().iter().map(|count| u32::from(*count)).sum()
    }

    #[test]
    fn tokens_and_their_pairs_are_counted() {
        assert_eq!(total(""), 0);
        assert_eq!(total("one"), 1);
        assert_eq!(total("one two"), 3);
        // price, is, $, 12 and four pairs.
        assert_eq!(total("price is $12"), 4 + 3);
        assert_eq!(total("x1"), 3);
        assert_eq!(total(" \n\t "), 0);
    }

    #[test]
    fn case_space_and_the_digits_of_a_number_do_not_matter_but_words_and_order_do() {
        let of = TextFeatures::of;
        assert_eq!(of("Solve  for\nx: 17"), of("solve for x: 4096"));
        assert_ne!(of("solve for x"), of("solve for y"));
        assert_ne!(of("dog bites man"), of("man bites dog"));
        assert_ne!(of("schön"), of("schon"));
    }

    #[test]
    fn the_scaled_vector_has_length_one() {
        let length = |text: &str| -> f32 { TextFeatures::of(text).scaled().map(|value| value * value).sum() };
        assert!((length("the cat and the dog and the bird") - 1.0).abs() < 1e-5);
        assert_eq!(length(""), 0.0);
        let often: Vec<f32> = TextFeatures::of(&"word ".repeat(9999)).scaled().filter(|v| *v > 0.0).collect();
        assert_eq!(often.len(), 2);
    }

    #[test]
    fn only_a_message_without_a_byte_is_empty() {
        assert!(TextFeatures::default().is_empty() && TextFeatures::of("").is_empty());
        assert!(!TextFeatures::of(" ").is_empty());
        let mut hasher = TextHasher::default();
        hasher.feed(b"hello");
        hasher.reset();
        assert_eq!(hasher.finish(), TextFeatures::default());
    }

    #[test]
    fn text_beyond_the_limit_is_ignored() {
        let text = "ab ".repeat(MAX_TEXT_BYTES / 3 + 10);
        let mut longer = text.clone();
        longer.push_str("something else");
        assert_eq!(TextFeatures::of(&longer), TextFeatures::of(&text));
    }

    #[test]
    fn records_carry_the_counters_in_base64() {
        let features = TextFeatures::of("some text, some more");
        let written = features.to_base64().unwrap();
        assert_eq!(TextFeatures::from_base64(&written), Some(features));
        assert_eq!(TextFeatures::default().to_base64(), None);
        assert_eq!(TextFeatures::from_base64(&written[1..]), None);
        assert_eq!(TextFeatures::from_base64("some text"), None);
    }

    /// Trained policies depend on these counters: a change of the hashing makes all of them useless.
    #[test]
    fn the_counters_of_a_sentence_are_pinned() {
        let features = TextFeatures::of("What is 2 + 2?");
        let buckets: Vec<usize> = (0..TEXT_BUCKETS).filter(|k| features.counts()[*k] > 0).collect();
        assert_eq!(buckets, PINNED);
    }

    const PINNED: [usize; 10] = [26, 105, 144, 238, 311, 406, 450, 463, 476, 483];

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in proptest::collection::vec(0usize..300, 0..8),
        ) {
            let mut whole = TextHasher::default();
            whole.feed(&bytes);
            let mut cut = TextHasher::default();
            for piece in pieces(&bytes, cuts) {
                cut.feed(piece);
                let _ = cut.finish();
            }
            prop_assert_eq!(cut.finish(), whole.finish());
        }

        #[test]
        fn chunks_do_not_matter_at_the_limit(cut in MAX_TEXT_BYTES - 50..MAX_TEXT_BYTES + 50) {
            let text = "lorem ipsum 12, ".repeat(MAX_TEXT_BYTES / 16 + 10);
            let mut pieces = TextHasher::default();
            pieces.feed(&text.as_bytes()[..cut]);
            pieces.feed(&text.as_bytes()[cut..]);
            prop_assert_eq!(pieces.finish(), TextFeatures::of(&text));
        }
    }
}
