//! The provider's cache of prompts: which prefixes a model has seen.
//!
//! OpenAI and Google cache long prefixes by themselves, OpenAI in steps of 128 tokens; Anthropic caches up to the blocks
//! that are marked with `cache_control` (platform.claude.com/docs/en/build-with-claude/prompt-caching,
//! developers.openai.com/api/docs/guides/prompt-caching, ai.google.dev/gemini-api/docs/caching).

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::bill::Used;
use super::tokens;
use crate::sdk::models::{Model, Provider};

/// OpenAI counts cached tokens in steps of this many.
const STEP: u64 = 128;

/// How long a block that ends a cached prefix is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Minutes.
    Minutes,
    /// An hour, at a higher price.
    Hour,
}

/// One block of a prompt, in the order that the provider caches: tools, system, messages.
#[derive(Clone, Debug)]
pub struct Block {
    hash: u64,
    /// Its tokens.
    pub tokens: u64,
    /// It is marked as the end of a cached prefix.
    pub keep: Option<Keep>,
}

impl Block {
    /// A block with this content.
    #[must_use]
    pub fn new(content: &Value, tokens: u64) -> Block {
        let mut content = content.clone();
        let marked = content.as_object_mut().and_then(|block| block.remove("cache_control"));
        let mut block = Block { hash: hash_of(&content.to_string()), tokens, keep: None };
        marked.filter(|mark| !mark.is_null()).iter().for_each(|mark| block.mark(mark));
        block
    }

    /// Marks it as the end of a cached prefix, by a `cache_control`.
    pub fn mark(&mut self, mark: &Value) {
        self.keep = Some(if mark["ttl"] == "1h" { Keep::Hour } else { Keep::Minutes });
    }

    /// A block of JSON text, such as the definition of a tool.
    #[must_use]
    pub fn of_json(content: &Value) -> Block {
        Block::new(content, tokens::of_text(&content.to_string()))
    }
}

/// A stable hash of a text.
#[must_use]
pub fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The prefixes that one model has seen, by case: cases do not warm each other.
#[derive(Debug, Default)]
pub struct Cache {
    seen: Mutex<HashMap<(String, u64), ()>>,
}

impl Cache {
    /// Divides a prompt into what was read from the cache, written to it, and neither. `frame` are tokens that no block has.
    pub fn divide(&self, case: &str, model: &Model, blocks: &[Block], frame: u64) -> Used {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut hash, mut sum, mut cached, mut last_mark) = (hash_of(model.name), 0, 0, (0, Keep::Minutes));
        let mut prefixes = Vec::new();
        for block in blocks {
            hash = hash_of(&format!("{hash} {}", block.hash));
            sum += block.tokens;
            let key = (case.to_owned(), hash);
            if sum >= model.least_cached {
                if seen.contains_key(&key) {
                    cached = sum;
                }
                match block.keep {
                    Some(keep) => {
                        last_mark = (sum, keep);
                        prefixes.push(key);
                    }
                    None if model.provider != Provider::Anthropic => prefixes.push(key),
                    None => {}
                }
            }
        }
        seen.extend(prefixes.into_iter().map(|key| (key, ())));
        if model.provider == Provider::OpenAi {
            cached = cached / STEP * STEP;
        }
        let written = last_mark.0.saturating_sub(cached);
        let rest = sum - cached - written + frame;
        match last_mark.1 {
            Keep::Minutes => Used { input: rest, cached, written, ..Used::default() },
            Keep::Hour => Used { input: rest, cached, written_hour: written, ..Used::default() },
        }
    }
}
