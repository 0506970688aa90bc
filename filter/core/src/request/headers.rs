//! The headers of a message as a proxy-wasm host hands them over, all with one call.
//!
//! Layout (proxy-wasm ABI 0.2.1, "serialized header map"; `pairs_util.cc` of proxy-wasm-cpp-host): the number of pairs,
//! then the length of each name and value, all little-endian u32, then names and values, each followed by a zero byte.
//! The SDK's own reader panics on a name that is not UTF-8, and a panic ends every stream of the worker. This one
//! accepts names and values of any bytes, and reads the complete pairs of a truncated map.

use std::ops::Range;

/// The headers of a message, as bytes.
pub trait Headers {
    /// The first value of a header, whatever the case of its name; `None` when it is absent.
    fn get(&self, name: &str) -> Option<&[u8]>;

    /// How often a header stands in the message.
    fn count(&self, name: &str) -> usize;
}

impl Headers for Vec<(Vec<u8>, Vec<u8>)> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    fn count(&self, name: &str) -> usize {
        self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).count()
    }
}

/// The headers of one message: the host's bytes, and the ranges of names and values in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderPairs {
    bytes: Vec<u8>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl HeaderPairs {
    /// Parses a host's bytes, once.
    #[must_use]
    pub fn new(serialized: Vec<u8>) -> HeaderPairs {
        let pairs = find_pairs(&serialized);
        HeaderPairs { bytes: serialized, pairs }
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let text = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.pairs.iter().map(move |(name, value)| (text(name), text(value)))
    }

    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value)
    }
}

impl Headers for HeaderPairs {
    fn get(&self, name: &str) -> Option<&[u8]> {
        HeaderPairs::get(self, name)
    }

    fn count(&self, name: &str) -> usize {
        self.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).count()
    }
}

fn find_pairs(bytes: &[u8]) -> Vec<(Range<usize>, Range<usize>)> {
    let (count, lengths) = bytes.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    let count = usize::try_from(u32::from_le_bytes(*count)).unwrap_or(usize::MAX);
    let (lengths, texts) = lengths.split_at_checked(count.saturating_mul(8)).unwrap_or_default();
    let (lengths, _) = lengths.as_chunks::<8>();
    let mut at = bytes.len().saturating_sub(texts.len());
    let mut pairs = Vec::with_capacity(lengths.len());
    for [a, b, c, d, e, f, g, h] in lengths.iter().copied() {
        let mut next = |length| next_text(bytes.len(), &mut at, length);
        let Some(name) = next(u32::from_le_bytes([a, b, c, d])) else { break };
        let Some(value) = next(u32::from_le_bytes([e, f, g, h])) else { break };
        pairs.push((name, value));
    }
    pairs
}

/// The range of the next text among `size` bytes; the zero byte after it is left out.
fn next_text(size: usize, at: &mut usize, length: u32) -> Option<Range<usize>> {
    let text = *at..at.checked_add(usize::try_from(length).ok()?)?;
    if text.end >= size {
        return None;
    }
    *at = text.end.saturating_add(1);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serialized(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut bytes = word(pairs.len()).to_vec();
        for (name, value) in pairs {
            bytes.extend(word(name.len()));
            bytes.extend(word(value.len()));
        }
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend(text);
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn the_first_of_several_values_counts_and_case_does_not() {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let headers = HeaderPairs::new(serialized(&[pair("X-A", "1"), pair("x-a", "2"), pair("b", "")]));
        assert_eq!(headers.get("x-a"), Some(&b"1"[..]));
        assert_eq!(headers.get("b"), Some(&b""[..]));
        assert_eq!(headers.get("c"), None);
        assert_eq!(HeaderPairs::default().iter().count(), 0);
    }

    #[test]
    fn a_name_may_have_any_bytes() {
        let pairs = [(b"x-\xff".to_vec(), b"\0".to_vec()), (b"y".to_vec(), b"z".to_vec())];
        let headers = HeaderPairs::new(serialized(&pairs));
        assert_eq!(headers.iter().next(), Some((&b"x-\xff"[..], &b"\0"[..])));
        assert_eq!(headers.get("y"), Some(&b"z"[..]));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            pairs in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..6),
        ) {
            let headers = HeaderPairs::new(serialized(&pairs));
            let read: Vec<_> = headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn a_truncated_map_gives_its_complete_pairs(
            pairs in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..6), cut in 0.0f64..1.0,
        ) {
            let mut bytes = serialized(&pairs);
            bytes.truncate((bytes.len() as f64 * cut) as usize);
            let headers = HeaderPairs::new(bytes);
            prop_assert!(headers.iter().zip(&pairs).all(|(read, pair)| read == (&*pair.0, &*pair.1)));
        }
    }
}
