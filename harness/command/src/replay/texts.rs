//! The user messages of a session file, of which [`SessionReader`](seqroute_sessions::session::SessionReader) keeps only
//! the text features.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use seqroute_sessions::compression::Compression;
use serde::Deserialize;
use serde_json::Value;

/// Texts by `prompt_id`.
pub type Prompts = HashMap<String, String>;

#[derive(Deserialize)]
struct Session {
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    prompt_id: Option<String>,
    text: Option<Value>,
}

/// Reads prompt files.
pub fn read_prompts(paths: &[PathBuf]) -> Result<Prompts> {
    let mut prompts = Prompts::new();
    for path in paths {
        seqroute_sessions::prompts::for_each(path, |id, text| {
            prompts.insert(id, text);
            Ok(())
        })?;
    }
    Ok(prompts)
}

/// The messages of a session file, session by session.
pub struct Texts<'a> {
    lines: Lines<BufReader<Box<dyn Read>>>,
    prompts: &'a Prompts,
}

impl<'a> Texts<'a> {
    /// Opens a session file.
    pub fn open(path: &Path, prompts: &'a Prompts) -> Result<Self> {
        let open = || Compression::of(path).reader(File::open(path)?);
        let source = open().with_context(|| format!("{}: cannot be read", path.display()))?;
        Ok(Texts { lines: BufReader::new(source).lines(), prompts })
    }

    /// The messages of the next session, one per turn; `None` if unknown. Call it only for sessions that the session reader
    /// has accepted.
    pub fn next_session(&mut self) -> Result<Vec<Option<String>>> {
        let Some(line) = self.lines.next() else { return Ok(Vec::new()) };
        let session: Session = serde_json::from_str(&line?)?;
        let text = |turn: Turn| match turn.text {
            Some(Value::String(text)) => Some(text),
            _ => turn.prompt_id.and_then(|id| self.prompts.get(&id).cloned()),
        };
        Ok(session.turns.into_iter().map(text).collect())
    }
}
