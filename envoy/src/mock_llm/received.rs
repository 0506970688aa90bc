//! What the server received: the most recent requests in full, and counts since the start.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};

/// Number of requests kept.
const MAX_REQUESTS: usize = 4096;
/// Body bytes kept, over all requests.
const MAX_BODY_BYTES: usize = 64 << 20;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// The HTTP method, in upper case.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names, in lower case, with the raw values in order of arrival.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, decoded from its transfer coding.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// First value of a header, `None` if absent or not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The body as JSON, `None` if it does not parse.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Counts since the start of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests of any kind.
    pub requests: u64,
    /// Bytes of all request bodies.
    pub body_bytes: u64,
    /// Requests that asked for a [`super::Fault`].
    pub faults: u64,
    /// Answers that were sent to their end.
    pub answers: u64,
    /// Prompt tokens of those answers.
    pub prompt_tokens: u64,
    /// Completion tokens of those answers.
    pub completion_tokens: u64,
}

/// Shared by all connections of a server.
#[derive(Debug, Default)]
pub struct Log {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<ReceivedRequest>,
    kept_body_bytes: usize,
    totals: Totals,
}

impl Log {
    /// Adds a request and drops the oldest ones beyond the limits.
    pub fn record(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) {
        let headers =
            headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let request = ReceivedRequest { method: method.to_string(), path, headers, body: body.clone() };
        let mut state = self.lock();
        state.totals.requests += 1;
        state.totals.body_bytes += body.len() as u64;
        state.kept_body_bytes += body.len();
        state.requests.push_back(request);
        while state.requests.len() > MAX_REQUESTS || state.kept_body_bytes > MAX_BODY_BYTES {
            let Some(oldest) = state.requests.pop_front() else {
                break;
            };
            state.kept_body_bytes -= oldest.body.len();
        }
    }

    /// Updates the totals.
    pub fn count(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.lock().totals);
    }

    /// The kept requests, oldest first.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    /// Drops the kept requests.
    pub fn clear_received(&self) {
        let mut state = self.lock();
        state.requests.clear();
        state.kept_body_bytes = 0;
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counters stay meaningful even if another thread panicked between two updates.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(log: &Log, body: &Bytes) {
        log.record(&Method::POST, &Uri::from_static("/x?y=1"), &HeaderMap::new(), body);
    }

    #[test]
    fn dropped_requests_still_count() {
        let log = Log::default();
        for index in 0..MAX_REQUESTS + 3 {
            record(&log, &Bytes::from(index.to_string()));
        }
        let received = log.received();
        assert_eq!(received.len(), MAX_REQUESTS);
        assert_eq!(received[0].body, "3");
        assert_eq!(received[0].path, "/x?y=1");
        assert_eq!(log.totals().requests, MAX_REQUESTS as u64 + 3);
    }

    #[test]
    fn kept_bodies_are_bounded_in_bytes() {
        let log = Log::default();
        let body = Bytes::from(vec![0; MAX_BODY_BYTES / 2]);
        for _ in 0..3 {
            record(&log, &body);
        }
        assert_eq!(log.received().len(), 2);
        log.clear_received();
        assert!(log.received().is_empty());
        record(&log, &body);
        assert_eq!(log.received().len(), 1);
    }
}
