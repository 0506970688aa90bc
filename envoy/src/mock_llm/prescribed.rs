//! Answers that a request prescribes byte for byte.
//!
//! The other directions select a kind of answer; `x-mock-script` carries the answer itself: base64 of a JSON list
//! of [`PrescribedAnswer`]s, one per attempt. A test can thus send any provider's format, split anywhere and ended
//! in any way, and the same script can be played without a server. The last answer serves all later attempts;
//! attempts are counted per value of `x-mock-key`.
//!
//! [`Step::Hold`] waits for [`super::MockLlm::release`], so that a test decides what happens before an answer
//! continues, instead of relying on pauses.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::connection::Connection;

/// The header with the script.
pub const SCRIPT_HEADER: &str = "x-mock-script";
/// The header that names the turn a script belongs to.
pub const KEY_HEADER: &str = "x-mock-key";

/// One answer, in the order it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrescribedAnswer {
    /// Steps before the status and headers are sent; `Send` has no effect here.
    #[serde(default)]
    pub before: Vec<Step>,
    /// HTTP status.
    pub status: u16,
    /// Headers; without `content-length` the body is chunked.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Steps that send the body.
    #[serde(default)]
    pub body: Vec<Step>,
}

/// A step of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Sends these bytes of the body as one piece.
    Send(Vec<u8>),
    /// Waits this many milliseconds.
    PauseMs(u64),
    /// Waits until the key is released.
    Hold(String),
    /// Resets the connection.
    Reset,
}

/// State of a server's prescribed answers.
#[derive(Debug, Default)]
pub struct Stage {
    attempts: Mutex<HashMap<String, usize>>,
    released: watch::Sender<HashSet<String>>,
}

impl Stage {
    /// Releases every answer that waits for `key`, now or later.
    pub fn release(&self, key: &str) {
        self.released.send_modify(|released| {
            released.insert(key.to_owned());
        });
    }

    /// The answer that a request's script, if it has one, prescribes for this attempt.
    pub fn script(&self, headers: &HeaderMap) -> Result<Option<PrescribedAnswer>, String> {
        let Some(encoded) = headers.get(SCRIPT_HEADER) else {
            return Ok(None);
        };
        let answers = BASE64_STANDARD
            .decode(encoded)
            .map_err(|error| error.to_string())
            .and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()));
        let mut answers: Vec<PrescribedAnswer> =
            answers.map_err(|error| format!("{SCRIPT_HEADER}: {error}"))?;
        let key = headers.get(KEY_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        let mut attempts = self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let attempt = attempts.entry(String::from_utf8_lossy(key).into_owned()).or_default();
        let due = (*attempt).min(answers.len().saturating_sub(1));
        *attempt += 1;
        if due >= answers.len() {
            return Err(format!("{SCRIPT_HEADER}: found no answer, expected at least one"));
        }
        Ok(Some(answers.swap_remove(due)))
    }

    /// Sends an answer step by step.
    pub async fn play(&self, answer: PrescribedAnswer, connection: Connection) -> Response {
        for step in &answer.before {
            if self.pass(step, &connection).await.is_err() {
                // The client never receives this: the connection is reset before the first byte.
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        }
        let stage = Stage { attempts: Mutex::default(), released: self.released.clone() };
        let steps = answer.body.into_iter();
        let body = futures_util::stream::unfold(
            (steps, stage, connection),
            |(mut steps, stage, connection)| async move {
                loop {
                    let step = steps.next()?;
                    if let Err(error) = stage.pass(&step, &connection).await {
                        return Some((Err(error), (steps, stage, connection)));
                    }
                    if let Step::Send(bytes) = step {
                        return Some((Ok(Bytes::from(bytes)), (steps, stage, connection)));
                    }
                }
            },
        );
        let mut response = Response::new(Body::from_stream(body));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        for (name, value) in &answer.headers {
            let pair = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
            if let (Ok(name), Ok(value)) = pair {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    async fn pass(&self, step: &Step, connection: &Connection) -> io::Result<()> {
        match step {
            Step::Send(_) => {}
            Step::PauseMs(pause_ms) => tokio::time::sleep(Duration::from_millis(*pause_ms)).await,
            Step::Hold(key) => {
                // Fails only when the server stops.
                let _ = self.released.subscribe().wait_for(|released| released.contains(key)).await;
            }
            Step::Reset => {
                connection.cut();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }
}

/// The value of [`SCRIPT_HEADER`] for these answers.
#[must_use]
pub fn script_header(answers: &[PrescribedAnswer]) -> String {
    BASE64_STANDARD.encode(serde_json::to_vec(answers).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> PrescribedAnswer {
        PrescribedAnswer { before: Vec::new(), status, headers: Vec::new(), body: Vec::new() }
    }

    fn headers(script: &str, key: &str) -> HeaderMap {
        let pairs = [(SCRIPT_HEADER, script), (KEY_HEADER, key)];
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .collect()
    }

    #[test]
    fn each_attempt_of_a_key_gets_the_next_answer_and_the_last_is_repeated() {
        let stage = Stage::default();
        let script = script_header(&[answer(500), answer(200)]);
        let statuses = |key: &str| {
            let next = || stage.script(&headers(&script, key)).unwrap().unwrap().status;
            [next(), next(), next()]
        };
        assert_eq!(statuses("a"), [500, 200, 200]);
        assert_eq!(statuses("b"), [500, 200, 200], "attempts are counted per key");
    }

    #[test]
    fn an_unreadable_script_is_an_error_that_names_its_header() {
        for script in ["?", "bnVsbA==", &script_header(&[])] {
            let error = Stage::default().script(&headers(script, "")).unwrap_err();
            assert!(error.starts_with("x-mock-script: "), "{error}");
        }
        assert_eq!(Stage::default().script(&HeaderMap::new()), Ok(None));
    }
}
