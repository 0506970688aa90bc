//! One request and its response as a chain of calls: what is sent and what is expected, in order.
//!
//! ```no_run
//! # fn test(plugin: &seqroute_harness::Plugin) {
//! plugin
//!     .exchange()
//!     .request(&[(":method", "POST"), (":path", "/v1/chat/completions")], r#"{"model": "auto"}"#)
//!     .expect_upstream_header("x-route", "small")
//!     .expect_upstream_json("/model", "small")
//!     .response(200, &[("content-type", "application/json")], r#"{"usage": {"total_tokens": 9}}"#)
//!     .expect_client_header("x-model", "small")
//!     .finish()
//!     .expect_filter_state_json("record", "/tokens", 9)
//!     .expect_metric("turns", 1);
//! # }
//! ```
//!
//! The first expectation that fails panics, and so does a trap or an event out of order. The message contains a diff of
//! expected and actual values, the plugin's log since the exchange began, and the last host calls with their statuses.

mod expect;
mod failure;

use crate::api::plugin::Plugin;
use crate::api::step::{Step, StepState};
use crate::api::stream::Stream;
use crate::api::vm::Vm;
use crate::proxy::headers::HeaderMap;
use crate::vm::error::Error;

/// A stream whose steps are checked at once. Created by [`Plugin::exchange`].
pub struct Exchange {
    vm: Vm,
    stream: Stream,
    /// The number of log lines before the exchange.
    lines_before: usize,
    last: Option<Step>,
}

impl Plugin {
    /// Opens a new stream for a chain of events and expectations.
    pub fn exchange(&self) -> Exchange {
        let vm = self.vm();
        let lines_before = vm.logs().len();
        Exchange { stream: self.stream(), vm, lines_before, last: None }
    }
}

impl Exchange {
    /// Sends a whole request, without a body if `body` is empty. Stops early if the plugin replies or resets the
    /// stream.
    ///
    /// # Panics
    /// When the plugin traps, as all methods that send something.
    #[track_caller]
    pub fn request(self, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let pieces: &[&[u8]] = if body.is_empty() { &[] } else { &[body] };
        self.request_in_pieces(headers, pieces)
    }

    /// Sends a whole request with the body in pieces.
    #[track_caller]
    pub fn request_in_pieces(self, headers: impl Into<HeaderMap>, pieces: &[impl AsRef<[u8]>]) -> Self {
        let mut exchange = self.request_headers(headers, pieces.is_empty());
        for (index, piece) in pieces.iter().enumerate() {
            if exchange.is_open() {
                exchange = exchange.request_body(piece, index + 1 == pieces.len());
            }
        }
        exchange
    }

    /// Sends the request's headers. `end_of_stream`: no body follows.
    #[track_caller]
    pub fn request_headers(self, headers: impl Into<HeaderMap>, end_of_stream: bool) -> Self {
        self.step(|stream| stream.request_headers(headers, end_of_stream))
    }

    /// Sends a piece of the request's body.
    #[track_caller]
    pub fn request_body(self, piece: impl AsRef<[u8]>, end_of_stream: bool) -> Self {
        self.step(|stream| stream.request_body(piece, end_of_stream))
    }

    /// Sends the request's trailers.
    #[track_caller]
    pub fn request_trailers(self, trailers: impl Into<HeaderMap>) -> Self {
        self.step(|stream| stream.request_trailers(trailers))
    }

    /// The upstream sends a whole response, without a body if `body` is empty.
    #[track_caller]
    pub fn response(self, status: u16, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let pieces: &[&[u8]] = if body.is_empty() { &[] } else { &[body] };
        self.response_in_pieces(status, headers, pieces)
    }

    /// The upstream sends a whole response with the body in pieces.
    #[track_caller]
    pub fn response_in_pieces(
        self,
        status: u16,
        headers: impl Into<HeaderMap>,
        pieces: &[impl AsRef<[u8]>],
    ) -> Self {
        let mut all = HeaderMap::from(&[(":status", status.to_string())]);
        headers.into().iter().for_each(|(name, value)| all.add(name, value));
        let mut exchange = self.response_headers(all, pieces.is_empty());
        for (index, piece) in pieces.iter().enumerate() {
            if exchange.is_open() {
                exchange = exchange.response_body(piece, index + 1 == pieces.len());
            }
        }
        exchange
    }

    /// The upstream sends the response's headers, including `:status`.
    #[track_caller]
    pub fn response_headers(self, headers: impl Into<HeaderMap>, end_of_stream: bool) -> Self {
        self.step(|stream| stream.response_headers(headers, end_of_stream))
    }

    /// The upstream sends a piece of the response's body.
    #[track_caller]
    pub fn response_body(self, piece: impl AsRef<[u8]>, end_of_stream: bool) -> Self {
        self.step(|stream| stream.response_body(piece, end_of_stream))
    }

    /// The upstream sends the response's trailers.
    #[track_caller]
    pub fn response_trailers(self, trailers: impl Into<HeaderMap>) -> Self {
        self.step(|stream| stream.response_trailers(trailers))
    }

    /// Sets a property the plugin can read, see [`Stream::set_property`].
    #[must_use]
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.stream.set_property(path, value);
        self
    }

    /// Ends the stream and writes the access log. Before the end of the response, this is a client that disconnects.
    #[track_caller]
    pub fn finish(mut self) -> Self {
        let ended = self.stream.finish();
        self.must(ended);
        self
    }

    /// The stream itself, for everything else.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    #[track_caller]
    fn step(mut self, event: impl FnOnce(&mut Stream) -> Result<Step, Error>) -> Self {
        let outcome = event(&mut self.stream);
        self.last = Some(self.must(outcome));
        self
    }

    #[track_caller]
    fn must<T>(&self, outcome: Result<T, Error>) -> T {
        match outcome {
            Ok(value) => value,
            Err(error) => self.fail(&error.to_string(), None),
        }
    }

    fn is_open(&self) -> bool {
        let ended = |step: &Step| matches!(step.state, StepState::Replied | StepState::Reset);
        !self.last.as_ref().is_some_and(ended)
    }
}
