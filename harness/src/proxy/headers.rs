//! Header maps and their wire format.
//!
//! Names are case-insensitive and kept in lower case, as Envoy does. A name may occur several times, in
//! order. Values are bytes: a client may send any byte but NUL, CR and LF, and a plugin must cope with it.
//!
//! The wire format is little-endian: the number of pairs, then for each pair the length of name and value,
//! then each name and value followed by a NUL byte. Decoding is as strict as in cpp-host: a wrong length or terminator,
//! trailing bytes, more than [`MAX_PAIRS`] pairs or [`MAX_BYTES`] bytes refuse the map as a whole.

/// Maximum pairs in the wire format of one map.
const MAX_PAIRS: usize = 1024;
/// Maximum bytes of the wire format of one map.
const MAX_BYTES: usize = 1024 * 1024;

/// An ordered, case-insensitive, multi-valued map of HTTP fields.
#[derive(Clone, Default)]
pub struct HeaderMap {
    /// Names and values, end to end in one allocation, because every stream makes several maps. Replaced and removed
    /// bytes stay until the map is dropped.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where the name and the value of an entry are.
#[derive(Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
}

impl HeaderMap {
    /// An empty map.
    pub fn new() -> Self {
        HeaderMap::default()
    }

    fn at(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.start + span.len]
    }

    fn push(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: self.bytes.len(), len: bytes.len() };
        self.bytes.extend_from_slice(bytes);
        span
    }

    fn is(&self, entry: &Entry, name: &[u8]) -> bool {
        self.at(entry.name).eq_ignore_ascii_case(name)
    }

    /// The first value of `name`.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.entries.iter().find(|entry| self.is(entry, name)).map(|entry| self.at(entry.value))
    }

    /// The first value of `name` as text, with bytes that are not UTF-8 replaced.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Every value of `name`, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Vec<&[u8]> {
        let name = name.as_ref();
        let found = self.entries.iter().filter(|entry| self.is(entry, name));
        found.map(|entry| self.at(entry.value)).collect()
    }

    /// Appends one entry and keeps those of the same name. A pseudo-header (`:path`) goes after the other
    /// pseudo-headers and before all other entries, as in Envoy.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = self.push(name.as_ref());
        self.bytes[name.start..].make_ascii_lowercase();
        let value = self.push(value.as_ref());
        let pseudo = |span: Span| self.at(span).starts_with(b":");
        let at = match pseudo(name) {
            true => self.entries.iter().position(|entry| !pseudo(entry.name)).unwrap_or(self.entries.len()),
            false => self.entries.len(),
        };
        self.entries.insert(at, Entry { name, value });
    }

    /// Replaces all entries of `name` by one at the position of the first; appends it if there is none.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let Some(first) = self.entries.iter().position(|entry| self.is(entry, name)) else {
            return self.add(name, value);
        };
        self.entries[first].value = self.push(value.as_ref());
        self.retain_from(first + 1, name);
    }

    /// Removes every entry of `name`.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.retain_from(0, name.as_ref());
    }

    /// Removes the entries of `name` at index `from` and later.
    fn retain_from(&mut self, from: usize, name: &[u8]) {
        let (bytes, mut index) = (&self.bytes, 0);
        self.entries.retain(|entry| {
            index += 1;
            let Span { start, len } = entry.name;
            index <= from || !bytes[start..start + len].eq_ignore_ascii_case(name)
        });
    }

    /// Whether any name has several entries.
    pub(crate) fn has_a_name_twice(&self) -> bool {
        let names = self.entries.iter().map(|entry| self.at(entry.name));
        names
            .enumerate()
            .any(|(index, name)| self.entries[..index].iter().any(|before| self.at(before.name) == name))
    }

    /// Number of entries, counting repeated names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.at(entry.name), self.at(entry.value)))
    }

    /// Bytes of all names and values: the size of a header map in Envoy.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|entry| entry.name.len + entry.value.len).sum()
    }

    /// The wire format of the map; an empty map has no bytes.
    pub fn encode(&self) -> Vec<u8> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(4 + self.byte_size() + 10 * self.entries.len());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&(entry.name.len as u32).to_le_bytes());
            out.extend_from_slice(&(entry.value.len as u32).to_le_bytes());
        }
        for (key, value) in self.iter() {
            out.extend_from_slice(key);
            out.push(0);
            out.extend_from_slice(value);
            out.push(0);
        }
        out
    }

    /// Reads the wire format; `None` unless it is exact.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        // The ABI allows two encodings of an empty map.
        if wire.is_empty() || wire == [0] {
            return Some(HeaderMap::new());
        }
        if wire.len() > MAX_BYTES {
            return None;
        }
        let (count, mut lengths) = split_u32(wire)?;
        let count = count as usize;
        if count > MAX_PAIRS || lengths.len() < 8 * count {
            return None;
        }
        let mut bytes = &lengths[8 * count..];
        let mut map = HeaderMap::new();
        for _ in 0..count {
            let (key_len, rest) = split_u32(lengths)?;
            let (value_len, rest) = split_u32(rest)?;
            lengths = rest;
            let (key, rest) = split_terminated(bytes, key_len as usize)?;
            let (value, rest) = split_terminated(rest, value_len as usize)?;
            bytes = rest;
            map.add(key, value);
        }
        bytes.is_empty().then_some(map)
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

fn split_terminated(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(len)?;
    let (terminator, rest) = rest.split_first()?;
    (*terminator == 0).then_some((head, rest))
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for HeaderMap {}

impl std::fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines =
            self.iter().map(|(key, value)| format!("{}: {}", key.escape_ascii(), value.escape_ascii()));
        f.debug_list().entries(lines).finish()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let expected = pairs.size_hint().0.max(8);
        let mut map =
            HeaderMap { bytes: Vec::with_capacity(32 * expected), entries: Vec::with_capacity(expected) };
        for (key, value) in pairs {
            map.add(key, value);
        }
        map
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> From<&[(K, V)]> for HeaderMap {
    fn from(pairs: &[(K, V)]) -> Self {
        pairs.iter().map(|(key, value)| (key, value)).collect()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> From<&[(K, V); N]> for HeaderMap {
    fn from(pairs: &[(K, V); N]) -> Self {
        pairs.as_slice().into()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> From<&Vec<(K, V)>> for HeaderMap {
    fn from(pairs: &Vec<(K, V)>) -> Self {
        pairs.as_slice().into()
    }
}

impl From<&HeaderMap> for HeaderMap {
    fn from(map: &HeaderMap) -> Self {
        map.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_ignore_case_and_keep_every_value() {
        let mut map = HeaderMap::from(&[("X-A", "1"), ("b", "2"), ("x-a", "3")]);
        assert_eq!(map.get("x-A"), Some(&b"1"[..]));
        assert_eq!(map.get_all("X-a"), [b"1", b"3"]);
        map.set("X-a", "9");
        assert_eq!(map, HeaderMap::from(&[("x-a", "9"), ("b", "2")]));
        map.remove("B");
        assert_eq!((map.len(), map.get("b")), (1, None));
    }

    #[test]
    fn pseudo_headers_come_first_in_the_order_they_were_added() {
        let map = HeaderMap::from(&[("a", "1"), (":path", "/"), ("b", "2"), (":method", "GET")]);
        assert_eq!(
            map.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            [b":path", &b":method"[..], b"a", b"b"]
        );
    }

    #[test]
    fn setting_an_absent_name_appends_it() {
        let mut map = HeaderMap::from(&[("a", "1")]);
        map.set("b", b"\xff\xfe");
        assert_eq!(map.get("b"), Some(&b"\xff\xfe"[..]));
    }

    #[test]
    fn the_wire_format_is_the_one_of_the_specification() {
        let map = HeaderMap::from(&[("a", "1"), ("b", "22")]);
        let wire = b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0a\x001\0b\x0022\0";
        assert_eq!(map.encode(), wire);
        assert_eq!(HeaderMap::decode(wire), Some(map));
    }

    #[test]
    fn empty_maps_have_two_encodings() {
        assert_eq!(HeaderMap::new().encode(), b"");
        assert_eq!(HeaderMap::decode(b""), Some(HeaderMap::new()));
        assert_eq!(HeaderMap::decode(b"\0"), Some(HeaderMap::new()));
        assert_eq!(HeaderMap::decode(b"\0\0\0\0"), Some(HeaderMap::new()));
    }

    #[test]
    fn a_malformed_map_is_refused_as_a_whole() {
        let wire = HeaderMap::from(&[("a", "1"), ("b", "22")]).encode();
        for cut in 1..wire.len() {
            assert_eq!(HeaderMap::decode(&wire[..cut]), None, "cut at {cut}");
        }
        let longer = [wire.as_slice(), b"x"].concat();
        assert_eq!(HeaderMap::decode(&longer), None);
        let mut unterminated = wire;
        *unterminated.last_mut().unwrap() = b'x';
        assert_eq!(HeaderMap::decode(&unterminated), None);
        assert_eq!(HeaderMap::decode(&u32::MAX.to_le_bytes()), None);
    }

    #[test]
    fn debug_output_is_readable_whatever_the_bytes() {
        let map = HeaderMap::from(&[(&b"a"[..], &b"x\xff"[..])]);
        assert_eq!(format!("{map:?}"), r#"["a: x\\xff"]"#);
    }

    proptest! {
        #[test]
        fn every_map_survives_the_wire(pairs in prop::collection::vec(
            ("[a-z0-9:-]{1,12}", prop::collection::vec(any::<u8>(), 0..20)), 1..12)) {
            let map: HeaderMap = pairs.into_iter().collect();
            prop_assert_eq!(HeaderMap::decode(&map.encode()), Some(map));
        }

        #[test]
        fn no_bytes_make_decoding_panic(wire in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = HeaderMap::decode(&wire);
        }
    }
}
