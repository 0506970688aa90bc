//! A request as a strict server understands it, whichever API it came by, and the directions in its prompt.
//!
//! A prompt directs the model: `[case NAME]` names the account that is billed, `[words N]` asks for so many words, `[think N]`
//! for so many tokens of thinking, `[call NAME]` for the call of a tool, `[fail STATUS TIMES]` for errors before the answer.

use serde_json::Value;

use super::cache::Block;
use super::refusal::Refusal;
use super::tokens::Image;

/// A tool that the model may call.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The schema of its arguments.
    pub schema: Value,
}

/// What the model must do with its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What it likes.
    #[default]
    Auto,
    /// Call none.
    None,
    /// Call one.
    Any,
    /// Call this one.
    Named(String),
}

/// A request that follows the rules.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The text of the last message of the user.
    pub prompt: String,
    /// What tools returned since the model's last words.
    pub results: Vec<String>,
    /// All of the prompt, in the order that caches follow.
    pub blocks: Vec<Block>,
    /// Tokens that no block has.
    pub frame: u64,
    /// Its images.
    pub images: Vec<Image>,
    /// Its tools.
    pub tools: Vec<Tool>,
    /// How they may be used.
    pub choice: Choice,
    /// The schema that binds the answer.
    pub schema: Option<Value>,
    /// Most output tokens.
    pub limit: Option<u64>,
    /// The model thinks before it answers.
    pub thinks: bool,
    /// Its thinking is shown.
    pub shows_thinking: bool,
    /// The answer streams.
    pub stream: bool,
    /// A stream reports its usage (OpenAI chat).
    pub include_usage: bool,
    /// Encrypted reasoning is wanted (OpenAI responses).
    pub encrypted: bool,
    /// The request, for answers that repeat a part of it.
    pub request: Value,
}

/// The value of `[name VALUE]` in a text.
fn direction<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("[{name} "))? + name.len() + 2;
    text[start..].split(']').next()
}

/// The account that a request's text names.
#[must_use]
pub fn case(text: &str) -> Option<&str> {
    direction(text, "case")
}

impl Turn {
    /// How many words the answer has.
    #[must_use]
    pub fn words(&self) -> Option<usize> {
        direction(&self.prompt, "words")?.parse().ok()
    }

    /// How many tokens the model thinks.
    #[must_use]
    pub fn thinking_tokens(&self) -> u64 {
        direction(&self.prompt, "think").and_then(|number| number.parse().ok()).unwrap_or(20)
    }

    /// The tools that the prompt wants called.
    #[must_use]
    pub fn wanted_calls(&self) -> Vec<&str> {
        let (mut rest, mut found) = (self.prompt.as_str(), Vec::new());
        while let Some(name) = direction(rest, "call") {
            found.push(name);
            rest = &rest[rest.find("[call ").map_or(rest.len(), |at| at + 6)..];
        }
        found
    }

    /// The error that the prompt wants, and how often.
    #[must_use]
    pub fn failure(&self) -> Option<(u16, u64)> {
        let (status, times) = direction(&self.prompt, "fail")?.split_once(' ')?;
        Some((status.parse().ok()?, times.parse().ok()?))
    }
}

/// What the rules of an API make of a request.
pub type Understood = Result<Turn, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_found_in_a_prompt() {
        let prompt = "[case a:b] [words 12] [call x] and [call y] [fail 503 2]".to_owned();
        assert_eq!(case(&prompt), Some("a:b"));
        let turn = Turn { prompt, ..Turn::default() };
        assert_eq!((turn.words(), turn.failure()), (Some(12), Some((503, 2))));
        assert_eq!(turn.wanted_calls(), ["x", "y"]);
        assert_eq!(turn.thinking_tokens(), 20);
    }
}
