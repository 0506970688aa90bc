//! Plays sessions over HTTP as a chat client would: one turn after the other, history and all.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_core::request::session_id::SessionId;
use seqroute_sessions::session::Session;
use serde::Deserialize;

use super::gateway::SALT;

/// Sessions in flight at once.
const CONCURRENCY: usize = 16;
/// How long the last records may take to be written.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(20);

/// How one session went.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The id it was sent with.
    pub id: String,
    /// Sum of the qualities of its served turns.
    pub quality: f64,
    /// Its turns, served or not.
    pub turns: usize,
    /// Requests sent: the served turns, and the one that was refused.
    pub requests: usize,
    /// The gateway refused a turn for lack of money.
    pub bankrupt: bool,
}

/// Plays all sessions under one budget against one listener.
///
/// # Errors
/// When the gateway answers anything but an answer or a refusal for lack of money.
pub async fn play_all(
    client: &reqwest::Client,
    url: &str,
    label: &str,
    sessions: &[Session],
    budget: NanoUsd,
    progress: &ProgressBar,
) -> Result<Vec<Played>> {
    let plays = sessions.iter().map(|session| {
        let id = format!("{label}/{budget}/{}", session.session);
        async move {
            let played = play(client, url, id, session, budget).await;
            progress.inc(1);
            played
        }
    });
    stream::iter(plays).buffered(CONCURRENCY).try_collect().await
}

async fn play(
    client: &reqwest::Client,
    url: &str,
    id: String,
    session: &Session,
    budget: NanoUsd,
) -> Result<Played> {
    let turns = session.turns.len();
    let mut played = Played { id, quality: 0.0, turns, requests: 0, bankrupt: false };
    let mut history_tokens = 0;
    for turn in &session.turns {
        let prompt_tokens = history_tokens + turn.input_tokens;
        let mut request = client
            .post(format!("{url}/v1/chat/completions"))
            .header("content-type", "application/json")
            .header("x-session-id", &played.id)
            .header("x-seqroute-budget-usd", budget.to_string())
            .header("x-mock-prompt-tokens", prompt_tokens)
            .body(chat(prompt_tokens));
        for outcome in &turn.options {
            request =
                request.header(format!("x-mock-output-tokens-{}", outcome.model), outcome.output_tokens);
        }
        let response = request.send().await.with_context(|| format!("session `{}`", played.id))?;
        played.requests += 1;
        let status = response.status().as_u16();
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (reason, model) = (header("x-seqroute-reason").to_owned(), header("x-mock-model").to_owned());
        let answer = response.bytes().await?;
        match (status, turn.outcome(&model)) {
            (200, Some(outcome)) => {
                let answer: Answer = serde_json::from_slice(&answer).context("no chat completion")?;
                // A cut answer is worth nothing, as in the trainer's environment.
                played.quality += if answer.is_cut() { 0.0 } else { outcome.quality };
                history_tokens = prompt_tokens + answer.usage.completion_tokens;
            }
            (429, _) if reason == "session_budget_exceeded" => {
                played.bankrupt = true;
                break;
            }
            _ => bail!("session `{}`: found status {status} ({reason}) by `{model}`", played.id),
        }
    }
    Ok(played)
}

/// What the player reads of a chat completion.
#[derive(Deserialize)]
struct Answer {
    choices: Vec<AnswerChoice>,
    usage: AnswerUsage,
}

#[derive(Deserialize)]
struct AnswerChoice {
    finish_reason: String,
}

#[derive(Deserialize)]
struct AnswerUsage {
    completion_tokens: u64,
}

impl Answer {
    /// The answer ended at a limit, which only the gateway can have set: the player sets none.
    fn is_cut(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish_reason == "length")
    }
}

/// A chat request with four bytes per prompt token.
fn chat(prompt_tokens: u64) -> String {
    let frame =
        |content: &str| format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{content}"}}]}}"#);
    let bytes = usize::try_from(prompt_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
    frame(&"x".repeat(bytes.saturating_sub(frame("").len())))
}

/// What each session was charged, by the gateway's decision records.
///
/// # Errors
/// When the records of all requests do not come, or a line is none.
pub async fn charged(log: &Path, played: &[Played]) -> Result<Vec<NanoUsd>> {
    let deadline = Instant::now() + RECORDS_TIMEOUT;
    loop {
        let (mut costs, mut requests) = (HashMap::<String, u64>::new(), HashMap::<String, usize>::new());
        let text = tokio::fs::read_to_string(log).await.with_context(|| format!("{}", log.display()))?;
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let record: DecisionRecord = serde_json::from_str(line)
                .with_context(|| format!("{}: no record: {line}", log.display()))?;
            let session = record.session.unwrap_or_default();
            *costs.entry(session.clone()).or_default() += record.charged_nano_usd.0;
            *requests.entry(session).or_default() += 1;
        }
        let ids: Vec<String> = played
            .iter()
            .map(|played| SessionId::new(SALT.as_bytes(), b"", played.id.as_bytes()).to_string())
            .collect();
        let complete = ids.iter().zip(played).all(|(id, played)| requests.get(id) == Some(&played.requests));
        if complete {
            return Ok(ids.iter().map(|id| NanoUsd(costs.get(id).copied().unwrap_or(0))).collect());
        }
        if Instant::now() > deadline {
            bail!("{}: records of some requests are missing", log.display());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
