//! Plays sessions over HTTP as a chat client would: one turn after the other, each with the history so far.

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use seqroute_core::money::NanoUsd;
use seqroute_sessions::session::Session;
use serde::Deserialize;

use crate::chat;
use crate::gateway::{Charges, Gateway};

/// Sessions in flight at once.
const CONCURRENCY: usize = 16;

/// The outcome of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The id it was sent with.
    pub id: String,
    /// Sum of the qualities of its served turns.
    pub quality: f64,
    /// Its turns, served or not.
    pub turns: usize,
    /// Requests sent: one per served turn, and one that was refused.
    pub requests: usize,
    /// Whether the gateway refused a turn because the budget was exhausted.
    pub bankrupt: bool,
}

/// Plays all sessions under one budget against one listener.
///
/// # Errors
/// When the gateway sends anything but an answer or the refusal `session_budget_exceeded`.
pub async fn play_all(
    gateway: &Gateway,
    listener: &str,
    sessions: &[Session],
    budget: NanoUsd,
    progress: &ProgressBar,
) -> Result<Vec<Played>> {
    let plays = sessions.iter().map(|session| {
        let id = format!("{listener}/{budget}/{}", session.session);
        async move {
            let played = play(gateway, listener, id, session, budget).await;
            progress.inc(1);
            played
        }
    });
    stream::iter(plays).buffered(CONCURRENCY).try_collect().await
}

async fn play(
    gateway: &Gateway,
    listener: &str,
    id: String,
    session: &Session,
    budget: NanoUsd,
) -> Result<Played> {
    let turns = session.turns.len();
    let mut played = Played { id, quality: 0.0, turns, requests: 0, bankrupt: false };
    let mut history_tokens = 0;
    for turn in &session.turns {
        let prompt_tokens = history_tokens + turn.input_tokens;
        let mut request = gateway
            .chat(listener, chat::body_of_tokens(prompt_tokens, ""))
            .header("x-session-id", &played.id)
            .header("x-seqroute-budget-usd", budget.to_string())
            .header("x-mock-prompt-tokens", prompt_tokens);
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
                let answer: Answer = serde_json::from_slice(&answer).context("not a chat completion")?;
                // An answer cut at its limit has quality 0, as in the trainer's environment.
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
    /// Whether the answer ended at a limit. Only the gateway can have set it: the player sets none.
    fn is_cut(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish_reason == "length")
    }
}

/// What each session was charged, by the gateway's decision records.
///
/// # Errors
/// When records of some requests do not come.
pub async fn charged(gateway: &Gateway, listener: &str, played: &[Played]) -> Result<Vec<NanoUsd>> {
    let complete =
        |charges: &Charges| played.iter().all(|played| charges.of(&played.id).1 == played.requests);
    let charges = gateway.charges(listener, complete).await?;
    Ok(played.iter().map(|played| charges.of(&played.id).0).collect())
}
