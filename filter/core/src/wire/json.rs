//! A streaming JSON reader that reports every value and its path to a [`Visitor`].
//!
//! Grammar: RFC 8259. The reader checks what it needs to separate members (brackets, strings, commas,
//! down to [`MAX_DEPTH`]); numbers and literals are not spelled out. Below that depth only brackets are counted, so
//! nesting costs a counter. Keys are compared after decoding escapes: `"mod\u0065l"` is `model`. Duplicate members
//! are all reported: receivers differ on which one counts (RFC 8259, section 4), so a rewriter must treat every one.
//!
//! What must always hold: the events do not depend on how the text is cut into chunks, except that a text may come
//! in several pieces; memory is constant; no input causes a panic.

use crate::wire::key::{Key, MAX_NAME_BYTES};
use crate::wire::unescape::Unescape;

/// Values deeper than this are skipped.
pub const MAX_DEPTH: usize = 8;
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number, `true`, `false` or `null`.
    Scalar,
}

/// Receives the values of a text. The path of the outermost value is empty.
pub trait Visitor {
    /// A value begins; `offset` is that of its first byte. Returns whether its text is to be reported: a string decoded,
    /// without its quotes, or a scalar verbatim. Not asked for objects and arrays.
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool;

    /// A piece of a wanted text.
    fn text(&mut self, path: &[Key], piece: &[u8]);

    /// The value ends; `end` is the offset after its last byte. An object or array may be empty.
    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool);

    /// What a member's name means, decoded; `path` leads to the object that holds it.
    fn name(&mut self, _path: &[Key], name: &[u8]) -> Key {
        Key::of(name)
    }

    /// Bytes of the text that belong to no string value and are no white space between tokens: brackets, separators, names,
    /// scalars, and everything below the greatest depth.
    fn outside(&mut self, _bytes: &[u8]) {}
}

/// How far the text has been understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The outermost value is not closed yet.
    Incomplete,
    /// One whole object or array was read, and only white space after it.
    Complete,
    /// The text is not a JSON object or array.
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first bracket; the count of byte-order-mark bytes seen.
    Start(usize),
    /// After `{`: a key or `}`.
    FirstKey,
    /// After `,` in an object: a key.
    NextKey,
    InKey,
    Colon,
    /// After `[`: a value or `]`.
    FirstItem,
    /// After `:`, or after `,` in an array: a value.
    Value,
    InString,
    InScalar,
    /// In an array or object below the greatest depth.
    InDeep,
    InDeepString {
        escaped: bool,
    },
    AfterValue,
    Done,
    Invalid,
}

/// The reader. Feed it chunks in order.
#[derive(Clone, Debug)]
pub struct JsonReader {
    state: State,
    offset: u64,
    path: [Key; MAX_DEPTH],
    depth: usize,
    /// Brackets open below the greatest depth.
    deep: u64,
    deep_kind: Kind,
    deep_is_empty: bool,
    wanted: bool,
    unescape: Unescape,
    name: [u8; MAX_NAME_BYTES],
    name_bytes: usize,
}

impl Default for JsonReader {
    fn default() -> Self {
        JsonReader {
            state: State::Start(0),
            offset: 0,
            path: [Key::Other; MAX_DEPTH],
            depth: 0,
            deep: 0,
            deep_kind: Kind::Object,
            deep_is_empty: true,
            wanted: false,
            unescape: Unescape::default(),
            name: [0; MAX_NAME_BYTES],
            name_bytes: 0,
        }
    }
}

impl JsonReader {
    /// Reads the next bytes of the text.
    pub fn feed(&mut self, chunk: &[u8], visitor: &mut impl Visitor) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let run = self.run_length(rest);
            if run > 0 {
                let (text, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                self.in_run(text, visitor);
                rest = after;
            } else if let Some((byte, after)) = rest.split_first() {
                self.step(*byte, visitor);
                self.offset = self.offset.saturating_add(1);
                rest = after;
            }
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

    /// How many bytes were read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many of the next bytes change nothing but the text they belong to.
    fn run_length(&self, rest: &[u8]) -> usize {
        let end = match self.state {
            State::InString | State::InKey if self.unescape.is_plain() => memchr::memchr2(b'"', b'\\', rest),
            State::InDeepString { escaped: false } => memchr::memchr2(b'"', b'\\', rest),
            State::InDeep => rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')),
            State::Invalid => None,
            _ => return 0,
        };
        end.unwrap_or(rest.len())
    }

    fn in_run(&mut self, run: &[u8], visitor: &mut impl Visitor) {
        match self.state {
            State::InString if self.wanted => visitor.text(path(&self.path, self.depth), run),
            State::InKey => {
                self.keep_name(run);
                visitor.outside(run);
            }
            State::InDeep => {
                self.deep_is_empty &= run.iter().all(u8::is_ascii_whitespace);
                visitor.outside(run);
            }
            State::InDeepString { .. } => visitor.outside(run),
            _ => {}
        }
        self.offset = self.offset.saturating_add(run.len() as u64);
    }

    fn step(&mut self, byte: u8, visitor: &mut impl Visitor) {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let between = space && !matches!(self.state, State::InKey | State::InDeepString { .. });
        if !between && self.state != State::InString {
            visitor.outside(&[byte]);
        }
        match self.state {
            State::Start(seen) => self.start(byte, seen, space, visitor),
            State::FirstKey | State::NextKey | State::Colon | State::FirstItem | State::Value if space => {}
            State::AfterValue | State::Done if space => {}
            State::FirstKey if byte == b'}' => self.close(Kind::Object, true, visitor),
            State::FirstKey | State::NextKey if byte == b'"' => {
                self.name_bytes = 0;
                self.unescape = Unescape::default();
                self.state = State::InKey;
            }
            State::InKey => self.in_key(byte, visitor),
            State::Colon if byte == b':' => self.state = State::Value,
            State::FirstItem if byte == b']' => self.close(Kind::Array, true, visitor),
            State::FirstItem | State::Value => self.begin_value(byte, visitor),
            State::InString => self.in_string(byte, visitor),
            State::InScalar => self.in_scalar(byte, space, visitor),
            State::InDeep => self.in_deep(byte, visitor),
            State::InDeepString { escaped } => {
                self.state = match byte {
                    b'"' if !escaped => State::InDeep,
                    _ => State::InDeepString { escaped: !escaped && byte == b'\\' },
                };
            }
            State::AfterValue => self.after_value(byte, visitor),
            _ => self.state = State::Invalid,
        }
    }

    fn start(&mut self, byte: u8, seen: usize, space: bool, visitor: &mut impl Visitor) {
        let may_begin = seen == 0 || seen == BYTE_ORDER_MARK.len();
        match byte {
            b'{' | b'[' if may_begin => self.begin_value(byte, visitor),
            _ if space && may_begin => {}
            _ if BYTE_ORDER_MARK.get(seen) == Some(&byte) && self.offset == seen as u64 => {
                self.state = State::Start(seen.saturating_add(1));
            }
            _ => self.state = State::Invalid,
        }
    }

    fn in_key(&mut self, byte: u8, visitor: &mut impl Visitor) {
        if byte == b'"' && self.unescape.may_end() {
            let decoded = self.unescape.finish();
            self.keep_name(decoded.as_bytes());
            // A name that fills the buffer is longer than any that is known.
            let name = self.name.get(..self.name_bytes).filter(|name| name.len() < MAX_NAME_BYTES);
            let holder = path(&self.path, self.depth.saturating_sub(1));
            let key = name.map_or(Key::Other, |name| visitor.name(holder, name));
            if let Some(step) = self.depth.checked_sub(1).and_then(|last| self.path.get_mut(last)) {
                *step = key;
            }
            self.state = State::Colon;
        } else {
            let decoded = self.unescape.push(byte);
            self.keep_name(decoded.as_bytes());
        }
    }

    fn keep_name(&mut self, piece: &[u8]) {
        let room = self.name.get_mut(self.name_bytes..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(piece) {
            *to = *from;
            self.name_bytes = self.name_bytes.saturating_add(1);
        }
    }

    fn begin_value(&mut self, byte: u8, visitor: &mut impl Visitor) {
        let kind = match byte {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Kind::Scalar,
            _ => {
                self.state = State::Invalid;
                return;
            }
        };
        let path = path(&self.path, self.depth);
        self.wanted = visitor.begin(path, kind, self.offset);
        match kind {
            Kind::Object | Kind::Array => self.open(kind),
            Kind::String => {
                self.unescape = Unescape::default();
                self.state = State::InString;
            }
            Kind::Scalar => {
                if self.wanted {
                    visitor.text(path, &[byte]);
                }
                self.state = State::InScalar;
            }
        }
    }

    fn open(&mut self, kind: Kind) {
        let (step, state) =
            if kind == Kind::Array { (Key::Item, State::FirstItem) } else { (Key::Other, State::FirstKey) };
        match self.path.get_mut(self.depth) {
            Some(place) => {
                *place = step;
                self.depth = self.depth.saturating_add(1);
                self.state = state;
            }
            None => {
                (self.deep, self.deep_kind, self.deep_is_empty) = (1, kind, true);
                self.state = State::InDeep;
            }
        }
    }

    fn in_string(&mut self, byte: u8, visitor: &mut impl Visitor) {
        let ends = byte == b'"' && self.unescape.may_end();
        let decoded = if ends { self.unescape.finish() } else { self.unescape.push(byte) };
        if self.wanted && !decoded.as_bytes().is_empty() {
            visitor.text(path(&self.path, self.depth), decoded.as_bytes());
        }
        if ends {
            self.end_value(Kind::String, self.offset.saturating_add(1), false, visitor);
        }
    }

    fn in_scalar(&mut self, byte: u8, space: bool, visitor: &mut impl Visitor) {
        match byte {
            b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => {
                if self.wanted {
                    visitor.text(path(&self.path, self.depth), &[byte]);
                }
            }
            b',' | b'}' | b']' => {
                self.end_value(Kind::Scalar, self.offset, false, visitor);
                self.after_value(byte, visitor);
            }
            _ if space => self.end_value(Kind::Scalar, self.offset, false, visitor),
            _ => self.state = State::Invalid,
        }
    }

    fn in_deep(&mut self, byte: u8, visitor: &mut impl Visitor) {
        match byte {
            b'"' => self.state = State::InDeepString { escaped: false },
            b'{' | b'[' => self.deep = self.deep.saturating_add(1),
            _ => self.deep = self.deep.saturating_sub(1),
        }
        if self.deep == 0 {
            let end = self.offset.saturating_add(1);
            self.end_value(self.deep_kind, end, self.deep_is_empty, visitor);
        }
        self.deep_is_empty = false;
    }

    fn after_value(&mut self, byte: u8, visitor: &mut impl Visitor) {
        let in_array = path(&self.path, self.depth).last() == Some(&Key::Item);
        match byte {
            b',' if in_array => self.state = State::Value,
            b',' => self.state = State::NextKey,
            b']' if in_array => self.close(Kind::Array, false, visitor),
            b'}' if !in_array => self.close(Kind::Object, false, visitor),
            _ => self.state = State::Invalid,
        }
    }

    fn close(&mut self, kind: Kind, is_empty: bool, visitor: &mut impl Visitor) {
        self.depth = self.depth.saturating_sub(1);
        self.end_value(kind, self.offset.saturating_add(1), is_empty, visitor);
    }

    fn end_value(&mut self, kind: Kind, end: u64, is_empty: bool, visitor: &mut impl Visitor) {
        self.state = if self.depth == 0 { State::Done } else { State::AfterValue };
        visitor.end(path(&self.path, self.depth), kind, end, is_empty);
    }
}

fn path(steps: &[Key; MAX_DEPTH], depth: usize) -> &[Key] {
    steps.get(..depth).unwrap_or_default()
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
