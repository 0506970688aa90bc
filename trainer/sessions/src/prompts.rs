//! Texts of prompts, in files apart from the sessions that refer to them.
//!
//! ```json
//! {"prompt_id": "gsm8k/1", "prompt": "A robe takes 2 bolts of blue fiber …"}
//! ```
//!
//! A prompt that many sessions share is stored once. Only a text's [`TextFeatures`] are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use seqroute_core::body::text::TextFeatures;
use serde::Deserialize;

use crate::error::{DataError, Invalid};
use crate::files;
use crate::session::Session;

/// Text features by prompt id.
pub type Prompts = HashMap<String, TextFeatures>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt_id: String,
    prompt: String,
}

/// Reads prompt files.
///
/// # Errors
/// [`DataError`] for a file that cannot be read, a line that is not a prompt, or a second text for the same id.
pub fn read_all(paths: &[PathBuf]) -> Result<Prompts, DataError> {
    let mut prompts = Prompts::new();
    paths.iter().try_for_each(|path| read(path, &mut prompts))?;
    Ok(prompts)
}

fn read(path: &Path, prompts: &mut Prompts) -> Result<(), DataError> {
    for_each(path, |id, prompt| {
        let text = TextFeatures::of(&prompt);
        if prompts.get(&id).is_some_and(|earlier| *earlier != text) {
            return Err(Invalid(format!("field `prompt_id`: found `{id}` again with another text")));
        }
        prompts.insert(id, text);
        Ok(())
    })
}

/// Calls `each` with the id and the text of every prompt of a file, plain, `.gz` or `.zst`.
///
/// # Errors
/// [`DataError`] for a file that cannot be read, a line that is not a prompt, or one that `each` refuses.
pub fn for_each(
    path: &Path,
    mut each: impl FnMut(String, String) -> Result<(), Invalid>,
) -> Result<(), DataError> {
    files::for_each_line(path, |line| {
        let Line { prompt_id, prompt } = serde_json::from_str(line)?;
        each(prompt_id, prompt)
    })
}

/// Adds the text of its prompt to every turn without a text. Returns how many turns remain without one.
#[must_use]
pub fn attach(prompts: &Prompts, sessions: &mut [Session]) -> usize {
    let turns = sessions.iter_mut().flat_map(|session| &mut session.turns);
    let without = turns.filter_map(|turn| {
        if turn.text.is_empty() {
            turn.text = turn.prompt_id.as_ref().and_then(|id| prompts.get(id)).copied().unwrap_or_default();
        }
        turn.text.is_empty().then_some(())
    });
    without.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_get_the_text_of_their_prompt_and_a_missing_one_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prompts.jsonl");
        std::fs::write(&path, "{\"prompt_id\": \"p\", \"prompt\": \"What is 2 + 2?\"}\n").unwrap();
        let prompts = read_all(std::slice::from_ref(&path)).unwrap();
        let mut sessions = crate::simulator::Simulator::new(1).sessions(1);
        sessions[0].turns.truncate(1);
        assert_eq!(attach(&prompts, &mut sessions), 1);
        sessions[0].turns[0].prompt_id = Some("p".to_owned());
        assert_eq!(attach(&prompts, &mut sessions), 0);
        assert_eq!(sessions[0].turns[0].text, TextFeatures::of("What is 2 + 2?"));
    }

    #[test]
    fn a_bad_line_and_a_second_text_for_an_id_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prompts.jsonl");
        let one = "{\"prompt_id\": \"p\", \"prompt\": \"one\"}\n";
        for (text, expected) in [
            (
                format!("{one}{}", one.replace("one", "two")),
                "prompts.jsonl:2: field `prompt_id`: found `p` again",
            ),
            (one.replace("prompt_id", "id"), "prompts.jsonl:1: unknown field `id`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_all(std::slice::from_ref(&path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
