//! Input tokens as a model server counts them: text by the class of its bytes, references by what they stand for.
//!
//! A tokenizer with its vocabulary would be as large as all else here. The rule is what real ones do at their worst for
//! each class, and about what they do with plain English:
//!
//! | text | tokens |
//! |---|---|
//! | a word: letters with vowels, in one case but for the first | one for each started six bytes |
//! | letters without vowels, or in changing case (`zvzv`, base64) | one for each byte |
//! | digits | one for each; one for three where the weights are closed |
//! | the space before a word; more spaces | none; one for each sixteen |
//! | punctuation, other white space, anything beyond ASCII | one for each byte |

use serde_json::Value;

use super::members::Members;

/// Tokens of one image: the usual ones of the providers lie between 258 and some thousands.
const IMAGE_TOKENS: u64 = 1_600;
/// Tokens that a chat template adds to each message.
const MESSAGE_TOKENS: u64 = 4;
/// Bytes of a word for each token.
const WORD_BYTES: u64 = 6;
/// Spaces in a row for each token.
const SPACES: u64 = 16;

/// Members whose text is part of the prompt, in any API.
const PROMPT_MEMBERS: [&str; 20] = [
    "messages",
    "system",
    "prompt",
    "suffix",
    "input",
    "instructions",
    "contents",
    "systemInstruction",
    "system_instruction",
    "documents",
    "query",
    "template",
    "input_prefix",
    "input_suffix",
    "functions",
    "tools",
    "toolConfig",
    "response_format",
    "text",
    "chat_template",
];
/// Members whose JSON is shown to the model as it is.
const SCHEMA_MEMBERS: [&str; 4] = ["functions", "tools", "toolConfig", "response_format"];
/// Members by which something stored becomes part of the prompt.
const REFERENCE_MEMBERS: [&str; 6] =
    ["cachedContent", "cached_content", "previous_response_id", "conversation", "container", "file_ids"];

/// Tokens of a text, by the rule above.
#[must_use]
pub fn of_text(text: &str, open_weights: bool) -> u64 {
    let (mut tokens, mut rest) = (0, text);
    while let Some(first) = rest.chars().next() {
        let class = Class::of(first);
        let end = rest.find(|char: char| Class::of(char) != class).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        tokens += class.tokens(run, open_weights);
        rest = after;
    }
    tokens
}

/// What a run of characters consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letters,
    Digits,
    Spaces,
    Other,
}

impl Class {
    fn of(char: char) -> Class {
        match char {
            'a'..='z' | 'A'..='Z' => Class::Letters,
            '0'..='9' => Class::Digits,
            ' ' => Class::Spaces,
            _ => Class::Other,
        }
    }

    fn tokens(self, run: &str, open_weights: bool) -> u64 {
        let bytes = run.len() as u64;
        match self {
            Class::Letters if is_word(run) => bytes.div_ceil(WORD_BYTES),
            Class::Digits if !open_weights => bytes.div_ceil(3),
            // The last space belongs to the word after it.
            Class::Spaces => (bytes - 1).div_ceil(SPACES),
            Class::Letters | Class::Digits | Class::Other => bytes,
        }
    }
}

/// Letters that a vocabulary has pieces for: a vowel among any four, one case but for the first letter.
fn is_word(run: &str) -> bool {
    let letters = run.as_bytes();
    let is_vowel = |letter: &u8| b"aeiouyAEIOUY".contains(letter);
    let has_vowels = letters.windows(4).all(|four| four.iter().any(is_vowel));
    has_vowels && letters.iter().skip(1).all(u8::is_ascii_lowercase)
}

/// Input tokens of a request's body.
#[must_use]
pub fn of_request(members: &Members, reference_tokens: u64, open_weights: bool) -> u64 {
    let counter = Counter { reference_tokens, open_weights };
    let mut tokens = 0;
    for (name, value) in members.iter() {
        if REFERENCE_MEMBERS.contains(&name) && !value.is_null() {
            tokens += reference_tokens;
        } else if SCHEMA_MEMBERS.contains(&name) {
            tokens += of_text(&value.to_string(), open_weights);
        } else if name == "prompt" && value.get("id").is_some() {
            tokens += reference_tokens + counter.of_value(value);
        } else if PROMPT_MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            tokens += counter.of_value(value);
        }
    }
    tokens
}

struct Counter {
    reference_tokens: u64,
    open_weights: bool,
}

impl Counter {
    fn of_value(&self, value: &Value) -> u64 {
        match value {
            Value::String(text) => of_text(text, self.open_weights),
            Value::Array(items) => items.iter().map(|item| self.of_value(item)).sum(),
            Value::Object(members) => {
                let template = if members.contains_key("role") { MESSAGE_TOKENS } else { 0 };
                let parts = members.iter().map(|(name, value)| self.of_member(name, value));
                template + parts.sum::<u64>()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    /// A member inside a message. Base64 is no text, and what it stands for is counted once.
    fn of_member(&self, name: &str, value: &Value) -> u64 {
        let is_file = |value: &Value| {
            let text = value.to_string();
            ["file_id", "file_url", "fileUri", "file_uri", "s3Location", "\"url\""]
                .iter()
                .any(|key| text.contains(key))
        };
        match name {
            "role" | "type" | "detail" | "media_type" | "mime_type" | "mimeType" | "filename" | "format" => 0,
            "image_url" | "image" | "inlineData" | "inline_data" => IMAGE_TOKENS,
            "file_url" | "file_id" | "fileData" | "file_data" | "file" | "document" | "video"
            | "input_audio" => {
                if value.is_string() || is_file(value) {
                    self.reference_tokens
                } else {
                    IMAGE_TOKENS
                }
            }
            "source" if is_file(value) => self.reference_tokens,
            "source" | "data" | "bytes" => IMAGE_TOKENS,
            _ => self.of_value(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(body: &str) -> u64 {
        of_request(&Members::read(body.as_bytes()).unwrap(), 1000, false)
    }

    #[test]
    fn spaces_between_members_and_unknown_members_are_no_prompt() {
        let plain = tokens(r#"{"messages":[{"role":"user","content":"Hello there"}]}"#);
        assert_eq!(plain, 2 + MESSAGE_TOKENS);
        let padded = format!(
            r#"{{"padding":"{}",   "messages":[{{"role":"user","content":"Hello there"}}]}}"#,
            "x ".repeat(900)
        );
        assert_eq!(tokens(&padded), plain);
    }

    #[test]
    fn references_weigh_what_they_stand_for() {
        assert_eq!(tokens(r#"{"input":[{"content":[{"type":"input_file","file_url":"http://x"}]}]}"#), 1000);
        assert!((1000..1010).contains(&tokens(r#"{"prompt":{"id":"pmpt_1"}}"#)));
        assert_eq!(tokens(r#"{"cachedContent":"cachedContents/1"}"#), 1000);
        let image = r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}"#;
        assert_eq!(tokens(image), IMAGE_TOKENS);
    }

    #[test]
    fn prose_is_cheap_and_noise_is_not() {
        let prose = crate::attack::kinds::prose(9000);
        assert!((1800..2400).contains(&of_text(&prose, true)), "{}", of_text(&prose, true));
        assert_eq!(of_text("zvzvzv", false), 6);
        assert_eq!(of_text("\u{1f700}\u{13000}", false), 8);
        assert_eq!((of_text("123456", false), of_text("123456", true)), (2, 6));
        assert_eq!(of_text(&" ".repeat(161), false), 10);
    }
}
