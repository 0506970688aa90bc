//! Sessions on disk: one JSON object per line, plain, gzip (`.gz`) or zstd (`.zst`).
//!
//! ```json
//! {"session": "s-1", "turns": [{"input_tokens": 120, "options": [{"model": "small", "quality": 0.8, "output_tokens": 90}]}]}
//! ```
//!
//! `input_tokens` counts the turn's own message. An *option* is an observed outcome: gateway logs have one per turn,
//! counterfactual data one per model. The reader is strict, because a typo in a field name or a quality in percent would
//! otherwise train a policy on nonsense: unknown fields, unknown models, duplicates and values out of range are refused,
//! each with `file:line`.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compression::Compression;
use crate::error::{DataError, Invalid};

/// One conversation with its observed outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Id, unique within a file.
    pub session: String,
    /// At least one.
    pub turns: Vec<Turn>,
}

/// One request of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Id of the prompt, shared by all turns that send the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The prompt's subject, where the data name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Tokens of this turn's own message.
    pub input_tokens: u64,
    /// Text features of this turn's own message. A file has either the message (`"text": "…"`), whose features are
    /// computed on reading, or the counters of a decision record (`"text": {"counts": "…"}`), which is also the form
    /// written.
    #[serde(default, skip_serializing_if = "TextFeatures::is_empty", with = "text")]
    pub text: TextFeatures,
    /// In single-path logs, the probability with which the gateway chose the model that it chose; above 0, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
    /// The observed outcomes, at most one per model.
    pub options: Vec<Outcome>,
}

/// One model's answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The model's name.
    pub model: String,
    /// Quality of the answer, 0 to 1.
    pub quality: f64,
    /// Length of the answer in tokens.
    pub output_tokens: u64,
}

/// Serialised form of [`Turn::text`].
mod text {
    use seqroute_core::body::text::TextFeatures;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Message(String),
        Counted { counts: String },
    }

    pub fn serialize<S: Serializer>(text: &TextFeatures, to: S) -> Result<S::Ok, S::Error> {
        Written::Counted { counts: text.to_base64().unwrap_or_default() }.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TextFeatures, D::Error> {
        match Written::deserialize(from) {
            Ok(Written::Message(message)) => Ok(TextFeatures::of(&message)),
            Ok(Written::Counted { counts }) => TextFeatures::from_base64(&counts).ok_or_else(|| {
                de::Error::custom("field `text.counts`: expected the counters of a record, in base64")
            }),
            Err(_) => Err(de::Error::custom("field `text`: expected a message or `{\"counts\": …}`")),
        }
    }
}

impl Turn {
    /// The observed outcome of `model`.
    #[must_use]
    pub fn outcome(&self, model: &str) -> Option<&Outcome> {
        self.options.iter().find(|option| option.model == model)
    }
}

/// A file's sessions and the hash of its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The sessions in the order of the file.
    pub sessions: Vec<Session>,
    /// SHA-256 (hexadecimal) of the file's bytes, compressed as stored.
    pub sha256: String,
}

/// Reads a file, checking every line.
///
/// # Errors
/// [`DataError`] for the first line that is not a valid session of these models, or when there are no sessions.
pub fn read(path: &Path, models: &[ModelConfig]) -> Result<Dataset, DataError> {
    let mut reader = SessionReader::open(path, models)?;
    let sessions = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    if sessions.is_empty() {
        let message = "found no session, expected one JSON object per line".to_owned();
        return Err(DataError::File { path: path.to_owned(), message });
    }
    Ok(Dataset { sessions, sha256: reader.sha256() })
}

/// A set of valid sessions that cannot teach something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataWarning {
    /// No later turn to save money for.
    #[error(
        "all-sessions-have-one-turn: found no session of two turns, so nothing can be learned about saving money"
    )]
    AllSessionsHaveOneTurn,
}

/// A problem of these sessions as a whole, although each is valid.
#[must_use]
pub fn warning(sessions: &[Session]) -> Option<DataWarning> {
    let one_turn = !sessions.is_empty() && sessions.iter().all(|session| session.turns.len() == 1);
    one_turn.then_some(DataWarning::AllSessionsHaveOneTurn)
}

/// Reads sessions one by one. Memory holds one line, and 64 bits of every id seen: the probability that a million ids
/// contain a false duplicate is 3 in 10⁸.
pub struct SessionReader<'a> {
    path: PathBuf,
    lines: io::Lines<BufReader<Box<dyn Read>>>,
    line: usize,
    models: &'a [ModelConfig],
    seen: HashSet<u64>,
    hash: Arc<Mutex<Sha256>>,
}

/// Hashes the bytes read, so that a file is read once.
struct Hashing<R> {
    inner: R,
    hash: Arc<Mutex<Sha256>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let (Some(bytes), Ok(mut hash)) = (buffer.get(..count), self.hash.lock()) {
            hash.update(bytes);
        }
        Ok(count)
    }
}

impl<'a> SessionReader<'a> {
    /// Opens a file, decompressed by its name.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, models: &'a [ModelConfig]) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path))?;
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let file = Hashing { inner: file, hash: Arc::clone(&hash) };
        let source = Compression::of(path).reader(file).map_err(DataError::io(path))?;
        let lines = BufReader::with_capacity(1 << 16, source).lines();
        Ok(SessionReader { path: path.to_owned(), lines, line: 0, models, seen: HashSet::new(), hash })
    }

    /// SHA-256 (hexadecimal) of the bytes read so far: of the whole file after the last session.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.hash.lock().map(|hash| hex(&hash.clone().finalize())).unwrap_or_default()
    }

    fn parse(&mut self, text: &str) -> Result<Session, Invalid> {
        let session: Session = serde_json::from_str(text).map_err(|error| {
            let message = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            Invalid(format!("column {}: {}", error.column(), message.trim_end_matches(&place)))
        })?;
        check(&session, self.models)?;
        let mut hasher = DefaultHasher::new();
        session.session.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            let again = format!("field `session`: found `{}` again, expected unique ids", session.session);
            return Err(Invalid(again));
        }
        Ok(session)
    }
}

impl Iterator for SessionReader<'_> {
    type Item = Result<Session, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.lines.next()?;
        self.line += 1;
        let parsed = match text {
            Ok(text) => self.parse(&text),
            Err(error) => Err(Invalid(format!("cannot be read: {error}"))),
        };
        Some(parsed.map_err(|invalid| DataError::line(&self.path, self.line, invalid)))
    }
}

/// Checks one session against the models that it may name.
///
/// # Errors
/// Field, found, expected.
pub fn check(session: &Session, models: &[ModelConfig]) -> Result<(), Invalid> {
    let refuse = |field: String, problem: String| Err(Invalid(format!("field `{field}`: {problem}")));
    if session.session.is_empty() {
        return refuse("session".to_owned(), "found an empty text, expected an id".to_owned());
    }
    if session.turns.is_empty() {
        return refuse("turns".to_owned(), "found none, expected at least one turn".to_owned());
    }
    for (t, turn) in session.turns.iter().enumerate() {
        let at = |field: &str| format!("turns[{t}].{field}");
        if turn.options.is_empty() {
            return refuse(at("options"), "found none, expected at least one option".to_owned());
        }
        if let Some(found) = turn.propensity.filter(|propensity| !(*propensity > 0.0 && *propensity <= 1.0)) {
            return refuse(at("propensity"), format!("found {found}, expected a number above 0, at most 1"));
        }
        for (o, option) in turn.options.iter().enumerate() {
            let at = |field: &str| at(&format!("options[{o}].{field}"));
            let (name, quality) = (&option.model, option.quality);
            if !models.iter().any(|model| model.name == *name) {
                let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
                return refuse(at("model"), format!("found `{name}`, expected one of {}", known.join(", ")));
            }
            if turn.options.iter().take(o).any(|earlier| earlier.model == *name) {
                return refuse(at("model"), format!("found `{name}` again, expected one option per model"));
            }
            if !(0.0..=1.0).contains(&quality) {
                return refuse(at("quality"), format!("found {quality}, expected a number from 0 to 1"));
            }
        }
    }
    Ok(())
}

/// The first session and turn without an outcome of every model, as `session, turn, model`.
///
/// Evaluation needs them all; logs with one option per turn are enough for training.
#[must_use]
pub fn first_gap(sessions: &[Session], models: &[ModelConfig]) -> Option<(String, usize, String)> {
    sessions.iter().find_map(|session| {
        session.turns.iter().enumerate().find_map(|(t, turn)| {
            let missing = models.iter().find(|model| turn.outcome(&model.name).is_none())?;
            Some((session.session.clone(), t, missing.name.clone()))
        })
    })
}

/// Writes sessions as JSON lines.
///
/// # Errors
/// Whatever the writer says.
pub fn write_lines(
    writer: &mut (impl Write + ?Sized),
    sessions: impl IntoIterator<Item = impl Borrow<Session>>,
) -> io::Result<()> {
    for session in sessions {
        serde_json::to_writer(&mut *writer, session.borrow())?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

/// The bytes of a session file; they depend on the sessions alone.
///
/// # Errors
/// Out of memory only.
pub fn to_bytes(sessions: &[Session], gzip: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let compression = if gzip { Compression::Gzip } else { Compression::None };
    compression.write(&mut bytes, |writer| write_lines(writer, sessions))?;
    Ok(bytes)
}

/// Writes a session file atomically, session by session; a name that ends in `.gz` or `.zst` is compressed.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, sessions: impl IntoIterator<Item = impl Borrow<Session>>) -> io::Result<()> {
    crate::files::write_atomically_with(path, |file| {
        Compression::of(path).write(file, |writer| write_lines(writer, sessions))
    })
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
