//! How many tokens a prompt has.
//!
//! Text has a token per four bytes, which is what providers name as the rule of thumb for English. Images weigh what the
//! providers' documents say: OpenAI by tiles of 512 pixels (85 + 170 each), Anthropic by area (width · height / 750), Google 258
//! each up to 384 pixels and per tile of 768 above.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::refusal::{Refusal, invalid};
use crate::sdk::models::Provider;

/// Bytes of text per token.
const BYTES: usize = 4;
/// Tokens that frame a message.
pub const MESSAGE: u64 = 4;
/// Tokens that frame a request.
pub const REQUEST: u64 = 3;
/// Tokens of the system prompt that makes tools known (Anthropic's page on tool use: 346 for current models).
pub const TOOLS: u64 = 346;

/// The tokens of a text.
#[must_use]
pub fn of_text(text: &str) -> u64 {
    text.len().div_ceil(BYTES) as u64
}

/// The first so many tokens of a text.
#[must_use]
pub fn first(text: &str, tokens: u64) -> &str {
    let mut end = text.len().min(usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(BYTES));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A text in pieces, as a stream carries it.
#[must_use]
pub fn pieces(text: &str, tokens: u64) -> Vec<&str> {
    let (mut rest, mut pieces) = (text, Vec::new());
    while !rest.is_empty() {
        let piece = first(rest, tokens);
        // A long character alone.
        let piece = if piece.is_empty() { rest } else { piece };
        pieces.push(piece);
        rest = &rest[piece.len()..];
    }
    pieces
}

/// An image in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels.
    pub width: u64,
    /// Pixels.
    pub height: u64,
}

impl Image {
    /// Reads a PNG in base64.
    ///
    /// # Errors
    /// When it is none: providers refuse what they cannot decode.
    pub fn read(base64: &str, media_type: &str) -> Result<Image, Refusal> {
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| invalid("Invalid base64 image_url."))?;
        let is_png = media_type == "image/png" && bytes.starts_with(b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| {
            let digits = bytes.get(at..at + 4)?;
            digits.iter().try_fold(0u64, |sum, byte| Some(sum * 256 + u64::from(*byte)))
        };
        match (number(16), number(20)) {
            (Some(width), Some(height)) if is_png && width > 0 && height > 0 => Ok(Image { width, height }),
            _ => Err(invalid("Could not process image")),
        }
    }

    /// Reads a PNG in a data URL.
    ///
    /// # Errors
    /// When it is none. Other addresses are refused: the servers fetch nothing.
    pub fn of_url(url: &str) -> Result<Image, Refusal> {
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        let (media_type, base64) = data.ok_or_else(|| invalid("Error while downloading the image."))?;
        Image::read(base64, media_type)
    }

    /// Its tokens.
    #[must_use]
    pub fn tokens(self, provider: Provider) -> u64 {
        match provider {
            Provider::OpenAi => 85 + 170 * self.width.div_ceil(512) * self.height.div_ceil(512),
            Provider::Anthropic => (self.width * self.height).div_ceil(750),
            Provider::Google if self.width <= 384 && self.height <= 384 => 258,
            Provider::Google => 258 * self.width.div_ceil(768) * self.height.div_ceil(768),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole_text_again() {
        for text in ["", "a", "eins zwei drei vier", "äöü ßé 漢字 and more"] {
            assert_eq!(pieces(text, 1).concat(), text);
        }
        assert_eq!(first("äö", 1), "äö");
        assert_eq!(of_text("12345"), 2);
    }
}
