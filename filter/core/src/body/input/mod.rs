//! How much input a request can be billed for, read from the body as it passes.
//!
//! Every byte counts, because any member may reach the prompt of some server: strings by [`TextWeigher`], everything else
//! (names, brackets, scalars, what lies below the greatest depth) by one token a byte. Two things do not:
//!
//! * white space between tokens of the JSON text, which no server passes on;
//! * the data of an image or a file, which is billed by what it holds. It counts by kind, like a reference to one: an image
//!   by the model's `image_tokens`, anything else (documents, sound, films, state of the provider, parts of unknown types)
//!   by a whole context, since a few bytes can name that much.
//!
//! Where it is not certain that a string is such data, its bytes count as well. Where two members of one name disagree, a
//! whole context counts, since readers differ on which of them they take.

mod types;
pub mod weight;

use crate::body::input::weight::TextWeigher;
use crate::body::members::is_in_part;
use crate::config::EstimateConfig;
use crate::prices::CacheWrites;
use crate::wire::json::Kind;
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest type that is kept.
const MAX_TYPE_BYTES: usize = 40;
/// Most tokens of a byte above ASCII in a name, of which only the bytes are seen: U+FDFA becomes 33 bytes of its 3.
const TOKENS_OF_HIGH_BYTE: u64 = 11;
/// Most tokens of an escape in a name, beyond those of its six bytes.
const TOKENS_OF_ESCAPE: u64 = 28;

/// What was read of a request's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSize {
    /// Most tokens of its text.
    pub text_tokens: u64,
    /// Images, by reference or inline.
    pub images: u64,
    /// Anything else that is not text, or whose size does not show.
    pub files: u64,
}

/// What was read of a request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadInput {
    /// The input in it.
    pub size: InputSize,
    /// Its length.
    pub bytes: u64,
    /// Nothing follows.
    pub complete: bool,
    /// It offers tools.
    pub has_tools: bool,
    /// It has a `ttl`, by which a prompt cache is told to keep its entries for longer.
    pub has_ttl: bool,
    /// What follows will not be read either, so that each of its bytes may be a token (mode `headers`).
    pub is_blind: bool,
}

impl ReadInput {
    /// A body of which `bytes` have passed and nobody reads anything: each of them may be a token.
    #[must_use]
    pub fn unread(bytes: u64) -> ReadInput {
        let size = InputSize { text_tokens: bytes, ..InputSize::default() };
        ReadInput { size, bytes, is_blind: true, ..ReadInput::default() }
    }

    /// The writes to the provider's prompt cache that the request may ask for. What was not read may ask for any.
    #[must_use]
    pub fn cache_writes(&self) -> CacheWrites {
        if self.complete && !self.has_ttl { CacheWrites::Short } else { CacheWrites::Long }
    }

    /// Most input tokens of the request's text, what a server adds included. `body_bytes` is the length of the body.
    ///
    /// What has not been read is expected to be as dense as text rarely exceeds; it must be looked at again as it is
    /// read, before it is sent on.
    #[must_use]
    pub fn upper_text_tokens(&self, config: &EstimateConfig, body_bytes: Option<u64>) -> u64 {
        let per_token = if self.is_blind { 1 } else { config.upper_bytes_per_token.max(1) };
        let unread = match body_bytes {
            _ if self.complete => 0,
            Some(bytes) => bytes.saturating_sub(self.bytes).div_ceil(per_token),
            None => config.unknown_input_tokens.saturating_sub(self.size.text_tokens),
        };
        let tools = if self.has_tools { config.tools_tokens } else { 0 };
        let added = config.request_tokens.saturating_add(tools);
        self.size.text_tokens.saturating_add(unread).saturating_add(added)
    }
}

/// Reads the input of a body.
#[derive(Clone, Debug)]
pub struct InputMeter {
    size: InputSize,
    text: TextWeigher,
    string: Reading,
    word: Slot,
    source: Source,
    /// Names were read that only some server would understand, so that no string is certain to be data.
    doubts: bool,
}

/// The string being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It is weighed.
    Text,
    /// It may be a data URL of an image: weighed unless it begins like one, of which so many bytes were seen.
    Url(usize),
    /// It is the data of an image or file.
    Data,
}

/// The `source` of a part, whose meaning depends on its neighbours (Anthropic, Bedrock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Source {
    is_open: bool,
    /// Its part is an image, and has said of what type it is.
    of_image: bool,
    of_known_type: bool,
    /// It has said of what type it is.
    is_typed: bool,
    /// It says that it holds base64, or that it holds text.
    is_base64: bool,
    is_text: bool,
    /// Tokens of its data that were counted before it said what they are.
    data_tokens: u64,
}

impl Default for InputMeter {
    fn default() -> Self {
        InputMeter {
            size: InputSize::default(),
            text: TextWeigher::default(),
            string: Reading::Text,
            word: Slot::new(Kind::String, MAX_TYPE_BYTES),
            source: Source::default(),
            doubts: false,
        }
    }
}

const DATA: &[u8] = b"data:";
const DATA_OF_IMAGE: &[u8] = b"data:image/";

impl InputMeter {
    /// What was read so far.
    #[must_use]
    pub fn size(&self) -> InputSize {
        let text_tokens = self.size.text_tokens.saturating_add(self.text.tokens());
        let open = u64::from(self.source.is_open && !self.source.is_text);
        let images = self.size.images.saturating_add(if self.source.of_image { open } else { 0 });
        let files = self.size.files.saturating_add(if self.source.of_image { 0 } else { open });
        InputSize { text_tokens, images, files }
    }

    /// A value begins. Returns whether its text is wanted.
    pub fn begin(&mut self, path: &[Key], kind: Kind) -> bool {
        let is_absent = kind == Kind::Scalar;
        match path {
            [_, .., Key::Item] => {
                self.end_source();
                self.source = Source::default();
            }
            [Key::CachedContent | Key::PreviousResponseId | Key::Conversation | Key::Prompt]
                if !is_absent =>
            {
                self.add_file();
            }
            [_, Key::Item, .., last] if !is_absent && is_part(path) => match last {
                Key::ImageUrl | Key::Image => self.add_image(),
                Key::FileData
                | Key::FileId
                | Key::FileUrl
                | Key::InputAudio
                | Key::Audio
                | Key::AudioUrl
                | Key::Document
                | Key::Video
                | Key::VideoUrl => self.add_file(),
                // Until its type says that it is an image.
                Key::InlineData => {
                    self.source = Source { is_open: true, is_base64: true, ..Source::default() }
                }
                Key::Source if matches!(path, [.., Key::Item, _]) => {
                    let Source { of_image, of_known_type, .. } = self.source;
                    self.source = Source { is_open: true, of_image, of_known_type, ..Source::default() };
                }
                _ => {}
            },
            _ => {}
        }
        if kind != Kind::String {
            return false;
        }
        self.string = self.reading_of(path);
        if is_word(path) {
            self.word.begin(kind);
        }
        self.string != Reading::Data
    }

    fn reading_of(&self, path: &[Key]) -> Reading {
        if self.doubts
            || path.len() < 4
            || !is_part(path.get(..path.len().saturating_sub(1)).unwrap_or_default())
        {
            return Reading::Text;
        }
        match path {
            [.., Key::InlineData, Key::Data] | [.., Key::InputAudio, Key::Data] | [.., Key::FileData] => {
                Reading::Data
            }
            [.., Key::Source, Key::Bytes] => Reading::Data,
            [.., Key::Source, Key::Data] if self.source.is_base64 => Reading::Data,
            [.., Key::ImageUrl | Key::VideoUrl | Key::AudioUrl, Key::Url] | [.., Key::ImageUrl] => {
                Reading::Url(0)
            }
            _ => Reading::Text,
        }
    }

    /// A piece of a wanted text.
    pub fn text(&mut self, path: &[Key], piece: &[u8]) {
        if let Reading::Url(seen) = self.string {
            self.read_url(seen, piece);
        }
        if self.string != Reading::Data {
            self.text.feed(piece);
        }
        if is_word(path) {
            self.word.push(piece);
        }
    }

    /// Looks for the beginning of a data URL, of which `seen` bytes were read.
    fn read_url(&mut self, seen: usize, piece: &[u8]) {
        let rest = DATA_OF_IMAGE.get(seen..).unwrap_or_default();
        let same = rest.iter().zip(piece).take_while(|(expected, found)| expected == found).count();
        let seen = seen.saturating_add(same);
        self.string = match same == piece.len() {
            _ if seen == DATA_OF_IMAGE.len() => Reading::Data,
            true => Reading::Url(seen),
            false if seen < DATA.len() => Reading::Text,
            // Gateways turn it into a document.
            false => {
                self.add_file();
                Reading::Data
            }
        };
        if self.string == Reading::Data {
            self.text = TextWeigher::default();
        }
    }

    /// A name was read that only some server would understand ([`crate::body::members::look_alike`]).
    pub fn doubt(&mut self) {
        self.doubts = true;
    }

    /// A value ends.
    pub fn end(&mut self, path: &[Key], kind: Kind) {
        if kind == Kind::String {
            let tokens = std::mem::take(&mut self.text).tokens();
            self.size.text_tokens = self.size.text_tokens.saturating_add(tokens);
            if let [.., Key::Source, Key::Data] = path {
                self.source.data_tokens = tokens;
            }
            self.string = Reading::Text;
            if is_word(path) {
                self.word.end();
                self.type_is(path);
            }
        }
        match path {
            [_, Key::Item, .., Key::InlineData] => self.end_source(),
            [_, .., Key::Item] => {
                self.end_source();
                self.source = Source::default();
            }
            _ => {}
        }
    }

    /// Bytes outside of string values.
    pub fn outside(&mut self, bytes: &[u8]) {
        let weight = |byte: &u8| match byte {
            0x80.. => TOKENS_OF_HIGH_BYTE,
            b'\\' => TOKENS_OF_ESCAPE,
            _ => 1,
        };
        let tokens = bytes.iter().map(weight).fold(0, u64::saturating_add);
        self.size.text_tokens = self.size.text_tokens.saturating_add(tokens);
    }

    fn type_is(&mut self, path: &[Key]) {
        let word = self.word.get().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
        match path {
            [.., Key::InlineData, Key::MimeType] => {
                let image = word.starts_with("image/");
                self.part_is(image);
            }
            [.., Key::Source, Key::Type] => {
                let (base64, text) = (word == "base64", matches!(word, "text" | "content"));
                self.source_is(base64, text);
            }
            _ => {
                let (image, known) = (types::is_image(word), types::is_known(word));
                self.part_is(image);
                if !known {
                    self.add_file();
                }
            }
        }
    }

    fn source_is(&mut self, base64: bool, text: bool) {
        if self.source.is_typed && text != self.source.is_text {
            self.add_file();
        }
        (self.source.is_base64, self.source.is_text, self.source.is_typed) = (base64, text, true);
    }

    /// A part says that it is an image, or that it is not.
    fn part_is(&mut self, image: bool) {
        if self.source.of_known_type && image != self.source.of_image {
            self.add_file();
        }
        (self.source.of_image, self.source.of_known_type) = (image, true);
    }

    fn end_source(&mut self) {
        if self.source.is_open && !self.source.is_text {
            if self.source.of_image {
                self.add_image()
            } else {
                self.add_file()
            }
            if self.source.is_base64 {
                self.size.text_tokens = self.size.text_tokens.saturating_sub(self.source.data_tokens);
            }
        }
        self.source.is_open = false;
    }

    fn add_image(&mut self) {
        self.size.images = self.size.images.saturating_add(1);
    }

    fn add_file(&mut self) {
        self.size.files = self.size.files.saturating_add(1);
    }
}

/// Whether a member at `path` belongs to a part of a message.
fn is_part(path: &[Key]) -> bool {
    path.split_last().is_some_and(|(_, holder)| !holder.is_empty() && is_in_part(holder))
}

/// Whether a string says of what type its holder is.
fn is_word(path: &[Key]) -> bool {
    is_part(path)
        && matches!(
            path,
            [_, .., Key::Item, Key::Type]
                | [.., Key::Source, Key::Type]
                | [.., Key::InlineData, Key::MimeType]
        )
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod weight_tests;
