//! The bytes of a turn's request, equal in both worlds.

use anyhow::{Result, bail};

use super::format::{Scenario, Turn};
use super::script;

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Headers other than the host and the body's framing.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body in the pieces it is sent in; none for a request without body.
    pub pieces: Vec<Vec<u8>>,
    /// Whether the body is sent without `content-length`.
    pub chunked: bool,
}

impl Request {
    /// The request of a turn. The session id begins with the scenario's name, which separates scenarios that share one
    /// Envoy.
    ///
    /// # Errors
    /// When the scenario contradicts itself.
    pub fn of(scenario: &Scenario, turn: &Turn) -> Result<Request> {
        let session = turn.session.as_ref().map(|session| format!("{}/{session}", scenario.name));
        let mut headers = Vec::new();
        if let Some(session) = &session {
            headers.push(("x-session-id".to_owned(), session.clone().into_bytes()));
        }
        if let Some(budget) = &turn.budget_usd {
            headers.push(("x-seqroute-budget-usd".to_owned(), budget.clone().into_bytes()));
        }
        for (name, value) in &turn.headers {
            let value = value.replace("{scenario}", &scenario.name);
            headers.push((name.clone(), latin_1(&value)?));
        }
        let body = match (&turn.chat, &turn.text) {
            (Some(chat), None) => chat.body()?,
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
            (Some(_), Some(_)) => bail!("turn: found `chat` and `text`, expected one of them"),
        };
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".to_owned(), b"application/json".to_vec()));
        }
        let pieces = if body.is_empty() { Vec::new() } else { script::cut(body.as_bytes(), &turn.cuts)? };
        Ok(Request {
            method: turn.method.clone(),
            path: turn.path.clone(),
            headers,
            pieces: pieces.into_iter().map(<[u8]>::to_vec).collect(),
            chunked: turn.chunked,
        })
    }

    /// Length of the whole body in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

fn latin_1(text: &str) -> Result<Vec<u8>> {
    let byte = |letter: char| u8::try_from(u32::from(letter));
    text.chars().map(|letter| Ok(byte(letter)?)).collect()
}
