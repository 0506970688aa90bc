//! The calls of a load run: what each requests, and what goes wrong with it. A call is a pure function of its session and
//! turn number, so two passes send the same calls.

use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use reqwest::Client;

use crate::chat;

/// The client's own limit on output tokens.
pub const MAX_OUTPUT_TOKENS: u64 = 200;
/// How long a client that leaves early waits, and how long its model would have taken.
const PATIENCE: Duration = Duration::from_millis(60);
const SLOW_MS: u64 = 400;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The upstream resets the connection before it answers.
    ResetEarly,
    /// The upstream resets the connection in the middle of its answer.
    ResetMidStream,
    /// The client leaves before the answer.
    LeaveEarly,
    /// The client leaves in the middle of the answer.
    LeaveMidStream,
    /// The answer reports no usage.
    NoUsage,
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// True input tokens; the body has four bytes for each.
    pub prompt_tokens: u64,
    /// True output tokens of a whole answer.
    pub output_tokens: u64,
    /// The answer comes as a stream of events.
    pub stream: bool,
    /// What goes wrong.
    pub trouble: Option<Trouble>,
}

/// What the client saw of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A whole answer of this model.
    Whole(String),
    /// An answer of this model that was cut.
    Cut(String),
    /// No answer: an error status, or a broken connection.
    Nothing,
    /// A refusal because the budget was exhausted.
    Refused,
}

impl Call {
    /// The call of one turn of a session: 5 % are reset, in 5 % the client leaves, 2 % have no usage.
    #[must_use]
    pub fn of(session: usize, turn: usize) -> Call {
        let mut number = mix((session as u64) << 32 | turn as u64);
        let mut draw = |below: u64| {
            number = mix(number);
            number % below
        };
        let trouble = match draw(200) {
            0..5 => Some(Trouble::ResetEarly),
            5..10 => Some(Trouble::ResetMidStream),
            10..15 => Some(Trouble::LeaveEarly),
            15..20 => Some(Trouble::LeaveMidStream),
            20..24 => Some(Trouble::NoUsage),
            _ => None,
        };
        let cut = matches!(trouble, Some(Trouble::ResetMidStream | Trouble::LeaveMidStream));
        Call {
            prompt_tokens: 60 + draw(240),
            output_tokens: 20 + draw(MAX_OUTPUT_TOKENS - 20),
            stream: cut || draw(2) == 0,
            trouble,
        }
    }

    /// The request's body: exactly four bytes for each prompt token.
    #[must_use]
    pub fn body(&self) -> String {
        let stream =
            if self.stream { r#""stream":true,"stream_options":{"include_usage":true},"# } else { "" };
        chat::body_of_tokens(self.prompt_tokens, &format!(r#"{stream}"max_tokens":{MAX_OUTPUT_TOKENS},"#))
    }

    /// Sends the call and reads its answer.
    ///
    /// # Errors
    /// When the gateway refuses it for another reason than an exhausted budget.
    pub async fn send(&self, client: &Client, url: &str, session: &str, budget_usd: &str) -> Result<Seen> {
        let mut request = chat::post(client, url, self.body())
            .header("x-session-id", session)
            .header("x-seqroute-budget-usd", budget_usd)
            .header("x-mock-prompt-tokens", self.prompt_tokens)
            .header("x-mock-output-tokens", self.output_tokens);
        let fault = match self.trouble {
            Some(Trouble::ResetEarly) => Some("reset-before-headers"),
            Some(Trouble::ResetMidStream) => Some("reset-mid-stream"),
            Some(Trouble::NoUsage) => Some("no-usage"),
            Some(Trouble::LeaveEarly | Trouble::LeaveMidStream) | None => None,
        };
        if let Some(fault) = fault {
            request = request.header("x-mock-fault", fault);
        }
        match self.trouble {
            Some(Trouble::LeaveEarly) => {
                request = request.header("x-mock-delay-ms", SLOW_MS).timeout(PATIENCE);
            }
            Some(Trouble::LeaveMidStream) => request = request.header("x-mock-chunk-delay-ms", 2),
            _ => {}
        }
        let Ok(response) = request.send().await else { return Ok(Seen::Nothing) };
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (status, model, reason) =
            (response.status().as_u16(), header("x-mock-model"), header("x-seqroute-reason"));
        match status {
            200 => {}
            429 if matches!(reason.as_str(), "session_budget_exceeded" | "money_in_flight") => {
                return Ok(Seen::Refused);
            }
            400..500 => anyhow::bail!("session `{session}`: found status {status} ({reason})"),
            _ => return Ok(Seen::Nothing),
        }
        let mut chunks = response.bytes_stream();
        let mut left = if self.trouble == Some(Trouble::LeaveMidStream) { 3 } else { usize::MAX };
        while left > 0 {
            match chunks.next().await {
                Some(Ok(_)) => left -= 1,
                Some(Err(_)) => return Ok(Seen::Cut(model)),
                None => return Ok(Seen::Whole(model)),
            }
        }
        Ok(Seen::Cut(model))
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood, 2014): a pseudo-random number for every input.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_have_the_documented_frequencies() {
        let calls: Vec<Call> = (0..100).flat_map(|s| (0..200).map(move |t| Call::of(s, t))).collect();
        let share = |troubles: &[Trouble]| {
            let found = calls.iter().filter(|call| call.trouble.is_some_and(|t| troubles.contains(&t)));
            found.count() as f64 / calls.len() as f64
        };
        let resets = share(&[Trouble::ResetEarly, Trouble::ResetMidStream]);
        let leaves = share(&[Trouble::LeaveEarly, Trouble::LeaveMidStream]);
        assert!((resets - 0.05).abs() < 0.01 && (leaves - 0.05).abs() < 0.01, "{resets} {leaves}");
        assert!((share(&[Trouble::NoUsage]) - 0.02).abs() < 0.005);
    }

    #[test]
    fn a_body_has_four_bytes_for_each_prompt_token() {
        for turn in 0..50 {
            let call = Call::of(1, turn);
            assert_eq!(call.body().len() as u64, 4 * call.prompt_tokens, "{call:?}");
        }
    }
}
