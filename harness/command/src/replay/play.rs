//! One session through the filter, turn by turn.

use std::io::Write;

use anyhow::{Context, Result, bail};
use seqroute_core::config::Config;
use seqroute_core::reply::record::DecisionRecord;
use seqroute_sessions::session::Session;
use serde::Serialize;
use serde_json::{Value, json};

use crate::chat::{self, Turn};
use crate::target::Worker;

/// Time between two turns. Old sessions expire, so the table never fills.
const BETWEEN_TURNS_MS: u64 = 1_000;

/// Result of one session.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Played {
    /// Session id.
    pub session: String,
    /// Turns, answered or not.
    pub turns: usize,
    /// Turns that were answered.
    pub served: usize,
    /// Of these, turns whose answer was cut where its reservation ran out; they count as quality 0.
    pub cut: usize,
    /// Turns sent with a user message.
    pub with_text: usize,
    /// Turns sent without a user message.
    pub without_text: usize,
    /// Sum of the qualities of the answered turns.
    pub quality: f64,
    /// Charge for them.
    pub cost_nano_usd: u64,
    /// A turn was refused for lack of money.
    pub bankrupt: bool,
    /// Reason of a refusal for another cause.
    pub refused: Option<String>,
    /// By answered turn: index of the model.
    pub models: Vec<usize>,
}

/// Plays sessions in one worker.
pub struct Player<'a> {
    worker: &'a Worker,
    config: &'a Config,
    records: &'a mut dyn Write,
}

impl<'a> Player<'a> {
    /// A player for the worker's configuration, who writes decision records.
    pub fn new(worker: &'a Worker, config: &'a Config, records: &'a mut dyn Write) -> Self {
        Player { worker, config, records }
    }

    /// Plays a session; `texts` has the user's messages, as far as they are known.
    pub fn play(&mut self, session: &Session, texts: &[Option<String>]) -> Result<Played> {
        let mut played =
            Played { session: session.session.clone(), turns: session.turns.len(), ..Played::default() };
        let mut history_tokens = 0;
        for (number, turn) in session.turns.iter().enumerate() {
            let place = || format!("session `{}`, turn {}", session.session, number + 1);
            let prompt_tokens = history_tokens + turn.input_tokens;
            let text = texts.get(number).and_then(Option::as_deref);
            played.with_text += usize::from(text.is_some());
            played.without_text += usize::from(text.is_none());
            let body = chat_of(prompt_tokens, self.config.estimate.bytes_per_token, text.unwrap_or_default());
            let mut sent = chat::request(&self.worker.plugin, &session.session, &body).with_context(place)?;
            if let Some(refusal) = &sent.refused {
                let reason = refusal.headers.get_str("x-seqroute-reason").unwrap_or_default();
                played.bankrupt = reason == "session_budget_exceeded";
                if !played.bankrupt {
                    played.refused = Some(reason);
                }
                self.end(sent)?;
                break;
            }
            let model = self.chosen(&sent).with_context(place)?;
            let name = self.config.models.get(model).map_or("", |model| model.name.as_str());
            let Some(outcome) = turn.outcome(name) else {
                bail!("{}: no outcome of `{name}` was observed, expected one of every model", place());
            };
            let output_tokens = outcome.output_tokens.min(output_limit(&sent).unwrap_or(u64::MAX));
            let cut = output_tokens < outcome.output_tokens;
            sent.answer(&chat::completion(prompt_tokens, output_tokens)).with_context(place)?;
            let record = self.end(sent).with_context(place)?.with_context(place)?;
            played.served += 1;
            played.cut += usize::from(cut);
            played.quality += if cut { 0.0 } else { outcome.quality };
            played.cost_nano_usd += record.charged_nano_usd.0;
            played.models.push(model);
            history_tokens = prompt_tokens + output_tokens;
        }
        Ok(played)
    }

    /// Ends a turn and returns its decision record.
    fn end(&mut self, mut turn: Turn) -> Result<Option<DecisionRecord>> {
        turn.stream.finish()?;
        self.worker.host.clock().advance_ms(BETWEEN_TURNS_MS);
        self.worker.vm.clear_logs();
        let Some(json) = turn.stream.filter_state(crate::target::ID) else { return Ok(None) };
        let record = serde_json::from_slice(&json).context("the decision record")?;
        self.records.write_all(&json)?;
        self.records.write_all(b"\n")?;
        Ok(Some(record))
    }

    /// The model whose cluster the request went to.
    fn chosen(&self, turn: &Turn) -> Result<usize> {
        let headers = turn.stream.upstream_request_headers().context("the request was never sent on")?;
        let cluster = headers.get_str(seqroute_core::config::CLUSTER_HEADER).unwrap_or_default();
        let found = self.config.models.iter().position(|model| model.cluster == cluster);
        found.with_context(|| format!("the request went to `{cluster}`, expected the cluster of a model"))
    }
}

/// The limit on the answer's length in the request sent upstream.
fn output_limit(turn: &Turn) -> Option<u64> {
    let body: Value = serde_json::from_slice(&turn.stream.upstream_request_body()).ok()?;
    ["max_completion_tokens", "max_tokens"].iter().find_map(|field| body.get(*field)?.as_u64())
}

/// A chat request, history and user message, of the size that the filter estimates as this many tokens. All begin alike, as
/// those of one conversation do.
fn chat_of(prompt_tokens: u64, bytes_per_token: u64, text: &str) -> String {
    let request = |history: &str| {
        json!({"model": "auto", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": history}, {"role": "user", "content": text},
        ]})
        .to_string()
    };
    let frame = request("").len();
    let bytes = usize::try_from(prompt_tokens.saturating_mul(bytes_per_token)).unwrap_or(usize::MAX);
    request(&"x".repeat(bytes.saturating_sub(frame)))
}
