//! Which tools a request offers to its model.
//!
//! A tool that the client runs costs the tokens of its definition. One that the server runs (searches, code, other models) is
//! billed by the call, brings input of its own and lets the model sample again. So a type that is not known to run at the
//! client is refused, unless the configuration allows it.
//!
//! | API | tool | runs at the client |
//! |---|---|---|
//! | OpenAI, Anthropic | `tools[].type` | [`CLIENT_TYPES`], or no type |
//! | Gemini | a member of `tools[]` | `functionDeclarations` |
//! | Bedrock | a member of `toolConfig.tools[]` | `toolSpec`, `cachePoint` |
//! | Bedrock | `additionalModelRequestFields.tools[].type` | as OpenAI, Anthropic |

use crate::body::members::{Members, strip_additional};
use crate::pattern::covers;
use crate::request::api::Api;
use crate::wire::json::Kind;
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest type that is kept.
const MAX_TYPE_BYTES: usize = 40;

/// Types of tools that the client runs; one that ends in `*` stands for its dated versions.
pub const CLIENT_TYPES: [&str; 10] = [
    "function",
    "custom",
    "namespace",
    "local_shell",
    "apply_patch",
    "computer_use_preview",
    "computer_2*",
    "bash_2*",
    "text_editor_2*",
    "memory_2*",
];

/// Reads the list of tools.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The list has a tool.
    pub any: bool,
    /// The first type that is not allowed; empty for one without a readable name.
    pub refused: Option<String>,
    word: Slot,
}

impl Default for Tools {
    fn default() -> Self {
        Tools { any: false, refused: None, word: Slot::new(Kind::String, MAX_TYPE_BYTES) }
    }
}

/// Whether a path leads to the type of a tool, one inside of a namespace included.
fn is_type(path: &[Key]) -> bool {
    matches!(
        strip_additional(path),
        [Key::Tools, Key::Item, Key::Type] | [Key::Tools, Key::Item, Key::Tools, Key::Item, Key::Type]
    )
}

impl Tools {
    /// A value of the list begins. Returns whether its text is wanted.
    pub fn begin(&mut self, api: Api, path: &[Key], kind: Kind) -> bool {
        match (api, path) {
            (
                _,
                [Key::Tools | Key::Functions, Key::Item]
                | [Key::ToolConfig | Key::AdditionalModelRequestFields, Key::Tools, Key::Item],
            ) => {
                self.any = true;
                if kind != Kind::Object {
                    self.refuse("");
                }
            }
            // Some readers take an object, or its members, for a list.
            (_, [Key::Tools, _] | [Key::ToolConfig | Key::AdditionalModelRequestFields, Key::Tools, _]) => {
                self.refuse("");
            }
            (Api::GeminiGenerate, [Key::Tools, Key::Item, member])
                if *member != Key::FunctionDeclarations =>
            {
                self.refuse("built-in");
            }
            (Api::BedrockConverse, [Key::ToolConfig, Key::Tools, Key::Item, member])
                if !matches!(member, Key::ToolSpec | Key::CachePoint) =>
            {
                self.refuse("built-in");
            }
            (_, path) if is_type(path) => {
                let wanted = self.word.begin(kind);
                if !wanted {
                    self.refuse("");
                }
                return wanted;
            }
            _ => {}
        }
        false
    }

    /// A piece of a wanted text.
    pub fn text(&mut self, path: &[Key], piece: &[u8]) {
        if is_type(path) {
            self.word.push(piece);
        }
    }

    /// A value of the list ends.
    pub fn end(&mut self, path: &[Key], kind: Kind, members: &Members) {
        if !is_type(path) || kind != Kind::String {
            return;
        }
        self.word.end();
        let found = self.word.get().and_then(|word| std::str::from_utf8(word).ok()).map(str::to_owned);
        let found = found.unwrap_or_default();
        let at_client = CLIENT_TYPES.iter().any(|known| covers(known, found.as_bytes()));
        if !at_client && !members.allows_tool(&found) {
            self.refuse(&found);
        }
    }

    fn refuse(&mut self, kind: &str) {
        self.refused.get_or_insert_with(|| kind.to_owned());
    }
}
