//! Turns the gateway's decision records into sessions to learn from.
//!
//! The access log has one [`DecisionRecord`] per request. The turns of a session become one single-path [`Session`]: each
//! has the one outcome that was observed. The prompt of a turn holds the history, so the turn's own message is its
//! input tokens less those of the previous turn and of its answer; where a client shortened its history that would
//! be negative and counts as 0.
//!
//! Records contain no quality: answers are judged later. It comes from a feedback file,
//! JSON lines of `{"session": …, "turn": …, "quality": …}`; `session` and `turn` are those of the record.
//!
//! Nothing is dropped silently: [`Summary`] counts dropped records and sessions by reason.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use seqroute_core::body::text::TextFeatures;
use seqroute_core::config::ModelConfig;
use seqroute_core::reply::record::{DecisionRecord, RECORD_VERSION};
use serde::{Deserialize, Serialize};

use seqroute_sessions::error::{DataError, Invalid};
use seqroute_sessions::files;
use seqroute_sessions::session::{Outcome, Session, Turn};

/// A judgement of one turn.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    session: String,
    turn: u32,
    quality: f64,
}

/// Judgements by session and turn.
#[derive(Clone, Debug, Default)]
pub struct FeedbackTable {
    qualities: HashMap<String, BTreeMap<u32, f64>>,
}

impl FeedbackTable {
    /// Reads a feedback file, plain, `.gz` or `.zst`.
    ///
    /// # Errors
    /// The first line that is not a judgement of a turn of its own.
    pub fn read(path: &Path) -> Result<FeedbackTable, DataError> {
        let mut table = FeedbackTable::default();
        files::for_each_line(path, |line| table.line(line))?;
        Ok(table)
    }

    fn line(&mut self, line: &str) -> Result<(), Invalid> {
        let Feedback { session, turn, quality } = serde_json::from_str(line)?;
        if !(0.0..=1.0).contains(&quality) {
            return Err(Invalid(format!("field `quality`: found {quality}, expected a number from 0 to 1")));
        }
        let again = format!("found turn {turn} of session `{session}` again, expected one judgement");
        match self.qualities.entry(session).or_default().insert(turn, quality) {
            Some(_) => Err(Invalid(again)),
            None => Ok(()),
        }
    }
}

/// Counts of records and sessions, kept and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines read.
    pub records: usize,
    /// Records whose request was refused.
    pub refused: usize,
    /// Records whose request was refunded: no answer came.
    pub refunded: usize,
    /// Records of requests without a session.
    pub without_session: usize,
    /// Turns charged by estimate; their token counts are guesses, but they are kept.
    pub estimated: usize,
    /// Turns whose prompt was shorter than the history that it should hold.
    pub shortened_histories: usize,
    /// Sessions written.
    pub sessions: usize,
    /// Sessions left out because a turn was missing or several were in flight at once.
    pub broken_sessions: usize,
    /// Sessions left out because a turn was not judged.
    pub unjudged_sessions: usize,
    /// Turns written.
    pub turns: usize,
}

/// One answered turn, compact because millions are held in memory.
struct Answered {
    time_ms: u64,
    turn: u32,
    model: u16,
    propensity: f32,
    input_tokens: u64,
    output_tokens: u64,
    text: TextFeatures,
}

/// Assembles records into sessions.
pub struct Ingest<'a> {
    models: &'a [ModelConfig],
    sessions: BTreeMap<String, Vec<Answered>>,
    summary: Summary,
}

impl<'a> Ingest<'a> {
    /// An ingest for records that choose among these models.
    #[must_use]
    pub fn new(models: &'a [ModelConfig]) -> Self {
        Ingest { models, sessions: BTreeMap::new(), summary: Summary::default() }
    }

    /// Reads an access log, plain, `.gz` or `.zst`.
    ///
    /// # Errors
    /// The first line that is not a decision record of these models.
    pub fn read(&mut self, path: &Path) -> Result<(), DataError> {
        files::for_each_line(path, |line| self.line(line))
    }

    fn line(&mut self, line: &str) -> Result<(), Invalid> {
        let refuse = |field: &str, problem: String| Err(Invalid(format!("field `{field}`: {problem}")));
        let record: DecisionRecord = serde_json::from_str(line)?;
        if record.v != RECORD_VERSION {
            return refuse("v", format!("found {}, expected {RECORD_VERSION}", record.v));
        }
        self.summary.records += 1;
        let Some(session) = record.session else {
            self.summary.without_session += 1;
            return Ok(());
        };
        match record.outcome.as_str() {
            "settled" => {}
            "estimated" => self.summary.estimated += 1,
            "refunded" => {
                self.summary.refunded += 1;
                return Ok(());
            }
            _ => {
                self.summary.refused += 1;
                return Ok(());
            }
        }
        let chosen = record.chosen.unwrap_or_default();
        let model = self.models.iter().position(|model| model.name == chosen);
        let Some(model) = model.and_then(|model| u16::try_from(model).ok()) else {
            let known: Vec<_> = self.models.iter().map(|model| model.name.as_str()).collect();
            return refuse("chosen", format!("found `{chosen}`, expected one of {}", known.join(", ")));
        };
        if !(record.propensity > 0.0 && record.propensity <= 1.0) {
            let found = record.propensity;
            return refuse("propensity", format!("found {found}, expected a number above 0, at most 1"));
        }
        let Some(usage) = record.usage else {
            return refuse("usage", "found nothing, expected the tokens of an answered turn".to_owned());
        };
        let text = match record.text.as_deref().map(TextFeatures::from_base64) {
            Some(None) => {
                return refuse("text", "expected the counters of a message, in base64".to_owned());
            }
            Some(Some(text)) => text,
            None => TextFeatures::default(),
        };
        self.sessions.entry(session).or_default().push(Answered {
            time_ms: record.time_ms,
            turn: record.turn,
            model,
            propensity: record.propensity,
            text,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        });
        Ok(())
    }

    /// The complete and judged sessions, and counts of the others. An id that starts again from turn 0, as after its
    /// ledger entry expired, is a separate session.
    #[must_use]
    pub fn finish(self, feedback: &FeedbackTable) -> (Vec<Session>, Summary) {
        let Ingest { models, sessions, mut summary } = self;
        let mut found = Vec::new();
        for (id, mut turns) in sessions {
            turns.sort_by_key(|turn| (turn.time_ms, turn.turn));
            for (part, turns) in parts(&turns).into_iter().enumerate() {
                if turns.iter().enumerate().any(|(t, turn)| turn.turn as usize != t) {
                    summary.broken_sessions += 1;
                    continue;
                }
                // Feedback cannot distinguish the parts of an id, so it applies to the first.
                let judged = feedback.qualities.get(&id).filter(|_| part == 0);
                let qualities: Option<Vec<f64>> =
                    turns.iter().map(|turn| judged?.get(&turn.turn).copied()).collect();
                let Some(qualities) = qualities else {
                    summary.unjudged_sessions += 1;
                    continue;
                };
                found.push(session(&id, turns, &qualities, models, &mut summary));
            }
        }
        summary.sessions = found.len();
        summary.turns = found.iter().map(|session| session.turns.len()).sum();
        (found, summary)
    }
}

/// Cuts before every turn 0.
fn parts(turns: &[Answered]) -> Vec<&[Answered]> {
    let mut starts: Vec<usize> = (1..turns.len()).filter(|at| turns[*at].turn == 0).collect();
    starts.insert(0, 0);
    starts.push(turns.len());
    starts.windows(2).map(|pair| &turns[pair[0]..pair[1]]).collect()
}

fn session(
    id: &str,
    turns: &[Answered],
    qualities: &[f64],
    models: &[ModelConfig],
    summary: &mut Summary,
) -> Session {
    let mut history = 0u64;
    let mut of_turn = |(turn, quality): (&Answered, &f64)| {
        summary.shortened_histories += usize::from(turn.input_tokens < history);
        let input_tokens = turn.input_tokens.saturating_sub(history);
        history = turn.input_tokens.saturating_add(turn.output_tokens);
        Turn {
            prompt_id: None,
            category: None,
            input_tokens,
            text: turn.text,
            propensity: Some(f64::from(turn.propensity)),
            options: vec![Outcome {
                model: models[usize::from(turn.model)].name.clone(),
                quality: *quality,
                output_tokens: turn.output_tokens,
            }],
        }
    };
    Session { session: id.to_owned(), turns: turns.iter().zip(qualities).map(&mut of_turn).collect() }
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
