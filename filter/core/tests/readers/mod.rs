//! How servers read a body: an oracle for what the filter sends to them.
//!
//! Parsers differ on which of several members of one name counts, and on the case of names (`filter/docs/api-facts.md`,
//! section 1). So a request is right only if each of these readers finds the chosen model, a limit within the cap under
//! every name that some server obeys, and nothing that is paid for apart.
//!
//! | reader | names | duplicates |
//! |---|---|---|
//! | Python `json`, nlohmann, serde | exact | the last one |
//! | simdjson, RapidJSON by look-up | exact | the first one |
//! | Go `encoding/json` | without case, by simple folding | the last one; objects are merged |

pub mod tree;

use seqroute_core::body::members::lists::{ANSWERS, LIMITS};
use seqroute_core::body::tools::CLIENT_TYPES;
use seqroute_core::pattern::covers;
use seqroute_core::request::api::Api;

use tree::Tree;

/// Which of several members of one name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duplicates {
    First,
    Last,
    /// The last value; of several objects all members.
    Merged,
}

/// One way to read an object.
#[derive(Clone, Copy, Debug)]
struct Reader {
    ignores_case: bool,
    duplicates: Duplicates,
}

const READERS: [Reader; 5] = [
    Reader { ignores_case: false, duplicates: Duplicates::Last },
    Reader { ignores_case: false, duplicates: Duplicates::First },
    Reader { ignores_case: true, duplicates: Duplicates::Last },
    Reader { ignores_case: true, duplicates: Duplicates::First },
    Reader { ignores_case: true, duplicates: Duplicates::Merged },
];

/// What a request may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// The model that was chosen.
    pub model: &'a str,
    /// Output tokens of each answer.
    pub limit_tokens: u64,
    /// Answers.
    pub answers: u64,
}

/// Checks what was sent.
///
/// # Errors
/// The reader that found something else, and what it found.
pub fn check(api: Api, bounds: Bounds<'_>, sent: &Tree) -> Result<(), String> {
    READERS.iter().try_for_each(|reader| {
        reader.check(api, bounds, sent).map_err(|found| format!("{reader:?}: {found}"))
    })
}

impl Reader {
    fn check(self, api: Api, bounds: Bounds<'_>, body: &Tree) -> Result<(), String> {
        let expect = |holds: bool, what: &str, found: Option<&Tree>| {
            if holds { Ok(()) } else { Err(format!("{what} is {found:?}")) }
        };
        if !matches!(api, Api::GeminiGenerate | Api::BedrockConverse) {
            let model = self.get(body, "model");
            expect(model == Some(Tree::Text(bounds.model.to_owned())), "model", model.as_ref())?;
        }
        let own = self.own_limit(api, body);
        expect(
            own.as_ref().is_some_and(|limit| is_within(limit, bounds.limit_tokens)),
            "limit",
            own.as_ref(),
        )?;
        for holder in [
            Some(body.clone()),
            self.get(body, "options"),
            self.get(body, "parameters"),
            self.settings(api, body),
        ] {
            let Some(Tree::Object(members)) = holder else { continue };
            for (name, value) in &members {
                let is = |names: &[&str]| names.contains(&self.bare(name).as_str());
                if is(&LIMITS) {
                    expect(is_within(value, bounds.limit_tokens), name, Some(value))?;
                }
                if is(&ANSWERS) {
                    expect(*value == Tree::Null || is_within(value, bounds.answers), name, Some(value))?;
                }
            }
        }
        let stream = self.get(body, "stream");
        expect(matches!(stream, None | Some(Tree::Null | Tree::Bool(_))), "stream", stream.as_ref())?;
        let store = self.get(body, "store");
        match api {
            Api::OpenAiResponses => expect(store == Some(Tree::Bool(false)), "store", store.as_ref())?,
            Api::OpenAiChat => {
                expect(matches!(store, None | Some(Tree::Null | Tree::Bool(false))), "store", store.as_ref())?
            }
            _ => {}
        }
        if api == Api::OpenAiChat && stream == Some(Tree::Bool(true)) {
            let options = self.get(body, "stream_options");
            let usage = options.as_ref().and_then(|options| self.get(options, "include_usage"));
            expect(usage == Some(Tree::Bool(true)), "include_usage", options.as_ref())?;
        }
        self.check_tools(body)
    }

    /// A name as the lists of names have it.
    fn bare(self, name: &str) -> String {
        let name: String = name.chars().filter(|letter| !matches!(letter, '_' | '-')).collect();
        if self.ignores_case { go_fold(&name) } else { name.to_ascii_lowercase() }
    }

    fn settings(self, api: Api, body: &Tree) -> Option<Tree> {
        match api {
            Api::GeminiGenerate => {
                self.get(body, "generationConfig").or_else(|| self.get(body, "generation_config"))
            }
            Api::BedrockConverse => self.get(body, "inferenceConfig"),
            _ => None,
        }
    }

    /// The limit that the API's own server obeys.
    fn own_limit(self, api: Api, body: &Tree) -> Option<Tree> {
        match api {
            Api::OpenAiChat => {
                self.get(body, "max_completion_tokens").or_else(|| self.get(body, "max_tokens"))
            }
            Api::OpenAiResponses => self.get(body, "max_output_tokens"),
            Api::AnthropicMessages => self.get(body, "max_tokens"),
            Api::GeminiGenerate => {
                let settings = self.settings(api, body)?;
                self.get(&settings, "maxOutputTokens").or_else(|| self.get(&settings, "max_output_tokens"))
            }
            Api::BedrockConverse => self.get(&self.settings(api, body)?, "maxTokens"),
        }
    }

    fn check_tools(self, body: &Tree) -> Result<(), String> {
        let Some(Tree::List(tools)) = self.get(body, "tools") else { return Ok(()) };
        for tool in &tools {
            match self.get(tool, "type") {
                Some(Tree::Text(kind)) if CLIENT_TYPES.iter().any(|known| covers(known, kind.as_bytes())) => {
                }
                None => {}
                other => return Err(format!("a tool's type is {other:?}")),
            }
        }
        Ok(())
    }

    /// The member that counts.
    fn get(self, holder: &Tree, name: &str) -> Option<Tree> {
        let Tree::Object(members) = holder else { return None };
        let is = |found: &str| {
            if self.ignores_case { go_fold(found) == go_fold(name) } else { found == name }
        };
        let mut found = members.iter().filter(|(name, _)| is(name)).map(|(_, value)| value.clone());
        match self.duplicates {
            Duplicates::First => found.next(),
            Duplicates::Last => found.next_back(),
            Duplicates::Merged => found.reduce(|before, next| match (before, next) {
                (Tree::Object(mut members), Tree::Object(more)) => {
                    members.extend(more);
                    Tree::Object(members)
                }
                // Go leaves what it has where `null` follows.
                (before, Tree::Null) => before,
                (_, next) => next,
            }),
        }
    }
}

/// A whole number from 1 to `most`: whatever else a limit may be, some server reads it as none.
fn is_within(value: &Tree, most: u64) -> bool {
    matches!(value, Tree::Number(number) if number.as_u64().is_some_and(|number| (1..=most).contains(&number)))
}

/// Simple folding as `encoding/json` does it: ASCII case, the Kelvin sign and the long s.
fn go_fold(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '\u{212A}' => 'k',
            '\u{17F}' => 's',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}
