//! Finds chosen top-level members of a JSON object while its bytes stream past.
//!
//! Grammar: RFC 8259. The scanner checks what it must understand to tell members apart (braces, strings, commas at
//! the top level) and leaves the inside of values alone; whoever uses a value parses it. Keys are compared after
//! decoding escapes, so `"mod\u0065l"` is `model`. Duplicate members are all reported: receivers differ on which
//! one counts (RFC 8259, section 4), so a rewriter must treat every one.

/// Longest key that is compared; a longer one is none of ours.
const MAX_KEY_BYTES: usize = 64;
/// How many members are reported; further ones set [`TopLevelScanner::overflowed`].
const MAX_MEMBERS: usize = 32;
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One member whose key was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into the list of keys the scanner was made with.
    pub key: usize,
    /// Offset of the value's first byte from the start of the text.
    pub start: u64,
    /// Offset behind the value's last byte.
    pub end: u64,
    /// The value's bytes; `None` when they exceed the scanner's cap.
    pub value: Option<Vec<u8>>,
}

/// How far the text has been understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The object is not closed yet.
    Incomplete,
    /// One whole object was read, and only white space behind it.
    Complete,
    /// The text is no JSON object.
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the opening brace; the count of byte-order-mark bytes seen.
    Start(usize),
    /// After `{` (a key or `}`).
    FirstKey,
    /// After `,` (a key).
    NextKey,
    InKey,
    Colon,
    BeforeValue,
    InScalar,
    InString,
    InContainer,
    AfterValue,
    Done,
    Invalid,
}

/// The scanner. Feed it chunks in order; look at [`members`](Self::members) at any time.
#[derive(Clone, Debug)]
pub struct TopLevelScanner {
    keys: &'static [&'static str],
    max_value_bytes: usize,
    state: State,
    offset: u64,
    /// Open brackets inside the current value.
    depth: u64,
    in_inner_string: bool,
    escaped: bool,
    key: Vec<u8>,
    key_has_escape: bool,
    wanted: Option<usize>,
    value_start: u64,
    value: Option<Vec<u8>>,
    members: Vec<Member>,
    overflowed: bool,
    member_count: u64,
    object_end: Option<u64>,
}

impl TopLevelScanner {
    /// A scanner for the given keys that keeps at most `max_value_bytes` of each value.
    #[must_use]
    pub fn new(keys: &'static [&'static str], max_value_bytes: usize) -> Self {
        TopLevelScanner {
            keys,
            max_value_bytes,
            state: State::Start(0),
            offset: 0,
            depth: 0,
            in_inner_string: false,
            escaped: false,
            key: Vec::new(),
            key_has_escape: false,
            wanted: None,
            value_start: 0,
            value: None,
            members: Vec::new(),
            overflowed: false,
            member_count: 0,
            object_end: None,
        }
    }

    /// Reads the next bytes of the text.
    pub fn feed(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            self.step(byte);
            self.offset = self.offset.saturating_add(1);
        }
    }

    /// How far the text has been understood.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.state {
            State::Done => Progress::Complete,
            State::Invalid => Progress::Invalid,
            _ => Progress::Incomplete,
        }
    }

    /// The finished members whose keys were asked for, in their order in the text.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The value of the last finished member with that key: what most parsers take of duplicates.
    #[must_use]
    pub fn last_value(&self, key: usize) -> Option<&[u8]> {
        self.members.iter().rev().find(|member| member.key == key)?.value.as_deref()
    }

    /// Key and start of the wanted member whose value is being read just now.
    #[must_use]
    pub fn open_member(&self) -> Option<(usize, u64)> {
        match self.state {
            State::InScalar | State::InString | State::InContainer => {
                self.wanted.map(|key| (key, self.value_start))
            }
            _ => None,
        }
    }

    /// More wanted members came than are kept: the text is hostile or broken.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Offset of the closing brace, and whether the object has any member.
    #[must_use]
    pub fn object_end(&self) -> Option<(u64, bool)> {
        self.object_end.map(|end| (end, self.member_count > 0))
    }

    fn step(&mut self, byte: u8) {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Start(seen) => self.start(byte, seen, space),
            State::FirstKey | State::NextKey if space => {}
            State::FirstKey if byte == b'}' => self.finish_object(),
            State::FirstKey | State::NextKey if byte == b'"' => {
                self.key.clear();
                self.key_has_escape = false;
                self.state = State::InKey;
            }
            State::InKey => self.in_key(byte),
            State::Colon if space => {}
            State::Colon if byte == b':' => self.state = State::BeforeValue,
            State::BeforeValue if space => {}
            State::BeforeValue => self.begin_value(byte),
            State::InScalar => self.in_scalar(byte, space),
            State::InString => self.in_string(byte),
            State::InContainer => self.in_container(byte),
            State::AfterValue if space => {}
            State::AfterValue if byte == b',' => self.state = State::NextKey,
            State::AfterValue if byte == b'}' => self.finish_object(),
            State::Done if space => {}
            _ => self.state = State::Invalid,
        }
    }

    fn start(&mut self, byte: u8, seen: usize, space: bool) {
        self.state = match byte {
            b'{' if seen == 0 || seen == BYTE_ORDER_MARK.len() => State::FirstKey,
            _ if space && (seen == 0 || seen == BYTE_ORDER_MARK.len()) => State::Start(seen),
            _ if BYTE_ORDER_MARK.get(seen) == Some(&byte) && self.offset == seen as u64 => {
                State::Start(seen.saturating_add(1))
            }
            _ => State::Invalid,
        };
    }

    fn in_key(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
            self.key_has_escape = true;
        } else if byte == b'"' {
            self.wanted = self.key_index();
            self.state = State::Colon;
            return;
        }
        if self.key.len() <= MAX_KEY_BYTES {
            self.key.push(byte);
        }
    }

    fn key_index(&self) -> Option<usize> {
        if self.key.len() > MAX_KEY_BYTES {
            return None;
        }
        if !self.key_has_escape {
            return self.keys.iter().position(|key| key.as_bytes() == self.key);
        }
        let mut quoted = vec![b'"'];
        quoted.extend_from_slice(&self.key);
        quoted.push(b'"');
        let decoded: String = serde_json::from_slice(&quoted).ok()?;
        self.keys.iter().position(|key| *key == decoded)
    }

    fn begin_value(&mut self, byte: u8) {
        self.member_count = self.member_count.saturating_add(1);
        self.value_start = self.offset;
        self.value = self.wanted.map(|_| Vec::new());
        self.keep(byte);
        self.state = match byte {
            b'"' => State::InString,
            b'{' | b'[' => {
                self.depth = 1;
                State::InContainer
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::InScalar,
            _ => State::Invalid,
        };
    }

    fn in_scalar(&mut self, byte: u8, space: bool) {
        match byte {
            _ if space => self.end_value(self.offset, State::AfterValue),
            b',' => self.end_value(self.offset, State::NextKey),
            b'}' => {
                self.end_value(self.offset, State::AfterValue);
                self.finish_object();
            }
            b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => self.keep(byte),
            _ => self.state = State::Invalid,
        }
    }

    fn in_string(&mut self, byte: u8) {
        self.keep(byte);
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.end_value(self.offset.saturating_add(1), State::AfterValue);
        }
    }

    fn in_container(&mut self, byte: u8) {
        self.keep(byte);
        if self.in_inner_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_inner_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_inner_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_value(self.offset.saturating_add(1), State::AfterValue);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(value) = &mut self.value {
            if value.len() < self.max_value_bytes {
                value.push(byte);
            } else {
                self.value = None;
            }
        }
    }

    fn end_value(&mut self, end: u64, next: State) {
        self.state = next;
        let value = self.value.take();
        if let Some(key) = self.wanted.take() {
            if self.members.len() < MAX_MEMBERS {
                self.members.push(Member { key, start: self.value_start, end, value });
            } else {
                self.overflowed = true;
            }
        }
    }

    fn finish_object(&mut self) {
        self.object_end = Some(self.offset);
        self.state = State::Done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: &[&str] = &["model", "usage"];

    fn scan(text: &[u8]) -> TopLevelScanner {
        let mut scanner = TopLevelScanner::new(KEYS, 256);
        scanner.feed(text);
        scanner
    }

    fn models(text: &str) -> Vec<String> {
        let scanner = scan(text.as_bytes());
        let of_model = scanner.members().iter().filter(|member| member.key == 0);
        of_model.map(|member| text[member.start as usize..member.end as usize].to_owned()).collect()
    }

    #[test]
    fn only_the_top_level_member_counts() {
        let text =
            r#"{"messages":[{"model":"inner","content":"\"model\":\"x\"}]"}],"model" : "gpt" , "n":1}"#;
        assert_eq!(models(text), [r#""gpt""#]);
        assert_eq!(scan(text.as_bytes()).progress(), Progress::Complete);
    }

    #[test]
    fn every_duplicate_is_reported() {
        assert_eq!(models(r#"{"model":"a","model":"b"}"#), [r#""a""#, r#""b""#]);
    }

    #[test]
    fn an_escaped_key_is_the_key_it_spells() {
        assert_eq!(models(r#"{"mod\u0065l":"a"}"#), [r#""a""#]);
    }

    #[test]
    fn a_byte_order_mark_and_white_space_may_lead() {
        let scanner = scan(b"\xEF\xBB\xBF \n{\"model\":\"a\"} \n");
        assert_eq!(scanner.progress(), Progress::Complete);
        assert_eq!(scanner.last_value(0), Some(&b"\"a\""[..]));
    }

    #[test]
    fn what_is_no_object_is_invalid() {
        let texts = [
            "[1]",
            "\"model\"",
            "{,}",
            "{\"a\" 1}",
            "{\"a\":1 2}",
            "{\"a\":1}x",
            "{\"a\":!}",
            "\u{feff}\u{feff}{}",
        ];
        for text in texts {
            assert_eq!(scan(text.as_bytes()).progress(), Progress::Invalid, "{text}");
        }
    }

    #[test]
    fn an_unfinished_object_is_incomplete() {
        for text in ["", "{", "{\"model\"", "{\"model\":\"a", "{\"a\":[1,2", "{\"a\":1,"] {
            assert_eq!(scan(text.as_bytes()).progress(), Progress::Incomplete, "{text}");
        }
    }

    #[test]
    fn a_value_over_the_cap_keeps_its_place_but_not_its_bytes() {
        let text = format!("{{\"model\":\"{}\"}}", "x".repeat(1000));
        let scanner = scan(text.as_bytes());
        assert_eq!(scanner.members()[0].value, None);
        assert_eq!((scanner.members()[0].start, scanner.members()[0].end), (9, 1011));
    }

    #[test]
    fn a_nesting_bomb_costs_no_memory() {
        let text = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(scan(text.as_bytes()).progress(), Progress::Incomplete);
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_how_the_text_is_cut(
            text in prop_oneof![
                "\\{(\"(model|usage|a|mod\\\\\\\\u0065l)\": ?(\"[a-z\\\\\\\\\"]{0,4}\"|[0-9]{1,3}|\\[\\{\"model\":1\\}\\]|null),? ?){0,4}\\}?",
                "[{}\\[\\]\",:model\\\\ 0-9]{0,40}",
            ],
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let whole = scan(text.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = TopLevelScanner::new(KEYS, 256);
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.feed(&text.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(pieces.members(), whole.members());
            prop_assert_eq!(pieces.progress(), whole.progress());
        }

        #[test]
        fn what_serde_accepts_is_complete_and_the_last_model_agrees(
            model in "[ -~]{0,12}", other in "[ -~]{0,12}", first in any::<bool>(),
        ) {
            let mut object = serde_json::Map::new();
            if first { object.insert("model".into(), model.clone().into()); }
            object.insert("x".into(), serde_json::json!([{"model": other}, other]));
            if !first { object.insert("model".into(), model.clone().into()); }
            let text = serde_json::to_vec(&object).unwrap();
            let scanner = scan(&text);
            prop_assert_eq!(scanner.progress(), Progress::Complete);
            let found: String = serde_json::from_slice(scanner.last_value(0).unwrap()).unwrap();
            prop_assert_eq!(found, model);
        }
    }
}
