//! What the model answers. The same request gets the same answer.

use serde_json::Value;

use super::schema;
use super::tokens;
use super::turn::{Choice, Turn};

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which tool.
    pub name: String,
    /// Its arguments, as JSON text that may be cut.
    pub arguments: String,
}

impl Call {
    /// The arguments as a value; empty where they were cut.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| serde_json::json!({}))
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Thinking, before all else.
    pub thinking: String,
    /// Text.
    pub text: String,
    /// Calls of tools, after the text.
    pub calls: Vec<Call>,
    /// The limit ended it.
    pub cut: bool,
    /// Output tokens, thinking included.
    pub output: u64,
    /// Tokens of thinking.
    pub thinking_tokens: u64,
}

/// Answers a request within its limit, or within the model's.
#[must_use]
pub fn answer(turn: &Turn, most: u64) -> Reply {
    let limit = turn.limit.unwrap_or(most).min(most);
    let thinking = if turn.thinks { "hmm ".repeat(turn.thinking_tokens() as usize) } else { String::new() };
    let calls = calls(turn);
    let text = if calls.is_empty() { text(turn) } else { String::new() };
    let mut left = limit;
    let mut cut = false;
    let mut take = |text: &str| {
        let wanted = tokens::of_text(text);
        let taken = tokens::first(text, wanted.min(left)).to_owned();
        cut |= wanted > left;
        left -= wanted.min(left);
        taken
    };
    let mut reply = Reply { thinking: take(&thinking), ..Reply::default() };
    reply.thinking_tokens = tokens::of_text(&reply.thinking);
    reply.text = take(&text);
    for call in calls {
        let arguments = take(&call.arguments);
        if !arguments.is_empty() {
            reply.calls.push(Call { arguments, ..call });
        }
    }
    reply.cut = cut;
    reply.output = limit - left;
    reply
}

fn calls(turn: &Turn) -> Vec<Call> {
    let call = |tool: &super::turn::Tool| Call {
        name: tool.name.clone(),
        arguments: schema::example(&tool.schema).to_string(),
    };
    let named = |name: &str| turn.tools.iter().find(|tool| tool.name == name).map(call);
    match &turn.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => named(name).into_iter().collect(),
        Choice::Any => turn.tools.first().map(call).into_iter().collect(),
        Choice::Auto if turn.results.is_empty() => {
            turn.wanted_calls().into_iter().filter_map(named).collect()
        }
        Choice::Auto => Vec::new(),
    }
}

fn text(turn: &Turn) -> String {
    if let Some(schema) = &turn.schema {
        return schema::example(schema).to_string();
    }
    if let Some(count) = turn.words() {
        return words(count);
    }
    if !turn.results.is_empty() {
        return format!("The tools say: {}.", turn.results.join(", "));
    }
    if !turn.images.is_empty() {
        let sizes: Vec<_> =
            turn.images.iter().map(|image| format!("{}x{}", image.width, image.height)).collect();
        return format!("I see {}.", sizes.join(", "));
    }
    "The answer is forty-two.".to_owned()
}

/// So many words, each of one token with the space after it.
fn words(count: usize) -> String {
    (0..count).map(|number| ["one ", "two ", "six ", "ten "][number % 4]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_cuts_thinking_first_and_counts_what_is_left() {
        let turn = Turn { prompt: "[words 50]".to_owned(), thinks: true, limit: Some(30), ..Turn::default() };
        let reply = answer(&turn, 1000);
        assert_eq!((reply.output, reply.thinking_tokens, reply.cut), (30, 20, true));
        let reply = answer(&Turn { limit: None, ..turn }, 1000);
        assert_eq!((reply.output, reply.cut), (70, false));
    }
}
