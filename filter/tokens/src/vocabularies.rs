//! The tokenizers: those that `tiktoken-rs` embeds, and `NAME.json` files in the format of Hugging Face's tokenizers.

use std::path::Path;
use tiktoken_rs::CoreBPE;
use tokenizers::Tokenizer;

/// A tokenizer with its vocabulary.
pub struct Vocabulary {
    /// Name in the tables.
    pub name: String,
    encoder: Encoder,
}

enum Encoder {
    Tiktoken(CoreBPE),
    HuggingFace(Box<Tokenizer>),
}

impl Vocabulary {
    /// Tokens of a text, without those that mark its beginning or end.
    ///
    /// # Panics
    /// Where the tokenizer refuses the text: the tables would be wrong without it.
    pub fn tokens(&self, text: &str) -> usize {
        match &self.encoder {
            Encoder::Tiktoken(encoder) => encoder.encode_ordinary(text).len(),
            Encoder::HuggingFace(encoder) => {
                encoder.encode_fast(text, false).expect("a tokenizer takes any text").len()
            }
        }
    }
}

impl Vocabulary {
    /// Whether two ASCII characters of one word, or a space and a letter, are a token: an encoder by pairs of bytes then
    /// never leaves the two of them side by side as tokens of their own.
    pub fn joins(&self, first: char, second: char) -> bool {
        match &self.encoder {
            Encoder::Tiktoken(encoder) => encoder.encode_ordinary(&format!("{first}{second}")).len() == 1,
            Encoder::HuggingFace(encoder) => {
                // A space is written as U+2581 by SentencePiece and as U+0120 by byte-level vocabularies.
                let is_token = |token: String| encoder.token_to_id(&token).is_some();
                match first {
                    ' ' => is_token(format!("\u{2581}{second}")) || is_token(format!("\u{120}{second}")),
                    _ => is_token(format!("{first}{second}")),
                }
            }
        }
    }

    /// The words that are tokens with a space before them, the most frequent ones first.
    pub fn words(&self) -> Vec<String> {
        let Encoder::Tiktoken(encoder) = &self.encoder else {
            return Vec::new();
        };
        let token =
            |id: u32| encoder.decode_bytes(&[id]).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        (0..50_256)
            .filter_map(|id| Some(token(id)?.strip_prefix(' ')?.to_owned()))
            .filter(|word| word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic()))
            .collect()
    }
}

/// The embedded vocabularies, and those of a folder.
pub fn load(folder: Option<&Path>) -> Result<Vec<Vocabulary>, String> {
    let embedded = [
        ("r50k_base", tiktoken_rs::r50k_base()),
        ("p50k_base", tiktoken_rs::p50k_base()),
        ("cl100k_base", tiktoken_rs::cl100k_base()),
        ("o200k_base", tiktoken_rs::o200k_base()),
    ];
    let mut vocabularies = Vec::new();
    for (name, encoder) in embedded {
        let encoder = encoder.map_err(|error| format!("{name}: {error}"))?;
        vocabularies.push(Vocabulary { name: name.to_owned(), encoder: Encoder::Tiktoken(encoder) });
    }
    let Some(folder) = folder else {
        return Ok(vocabularies);
    };
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        let encoder = Tokenizer::from_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        vocabularies.push(Vocabulary { name, encoder: Encoder::HuggingFace(Box::new(encoder)) });
    }
    Ok(vocabularies)
}
