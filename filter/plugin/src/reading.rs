//! The body of a request on its way in: read until it is decided on, rewritten as it is sent on.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{Action, BufferType};
use seqroute_core::config::Mode;
use seqroute_core::counters::Counts;
use seqroute_core::engine::Engine;
use seqroute_core::wire::json::Progress;

use crate::covering;
use crate::headers::set_request_header;
use crate::host::{self, SharedData};
use crate::stage::Stage;
use crate::stream::{Stream, body_bytes};

impl Stream {
    /// Reads the new bytes of the body, which Envoy has collected while the headers are held, and decides at its end, or
    /// in the mode `peek` once exactly `peek_bytes` were read: so the decision does not depend on how the body was cut on
    /// its way.
    pub(crate) fn read_body(&mut self, engine: &Engine, size: usize, end_of_stream: bool) -> Action {
        let seen = usize::try_from(self.body.scanned_bytes()).unwrap_or(usize::MAX);
        let new = body_bytes(BufferType::HttpRequestBody, seen, size.saturating_sub(seen));
        let most = most_peeked(engine);
        let (peeked, rest) = new.split_at_checked(most.saturating_sub(seen)).unwrap_or((&new, &[]));
        self.body.scan(peeked);
        let ends = end_of_stream && rest.is_empty();
        let invalid = self.body.progress() == Progress::Invalid;
        if !invalid && !ends && self.body.scanned_bytes() < most as u64 {
            return Action::Pause;
        }
        let Stage::Reading(head) = std::mem::replace(&mut self.stage, Stage::Passing) else {
            return Action::Continue;
        };
        let complete = self.body.progress() == Progress::Complete;
        if invalid || (ends && !complete) {
            return self.decide_on_invalid_body(engine, &head, end_of_stream);
        }
        // A declared length that is wrong is Envoy's to find.
        let length = head.body_bytes.or(self.body.end());
        let facts = self.body.facts().of_path(head.call.model.as_deref(), head.call.streams);
        let mut counts = Counts::default();
        let admission = engine.admit(&SharedData, &head, Some(&facts), length, host::now_ms(), &mut counts);
        self.metrics.add(&counts);
        let action = self.carry_out(engine, &head, admission, end_of_stream);
        if matches!(self.stage, Stage::Routed) {
            let held = if seen == 0 { new } else { body_bytes(BufferType::HttpRequestBody, 0, size) };
            self.send_held(engine, head.body_bytes, &held, end_of_stream);
        }
        action
    }

    /// Rewrites what was held back and makes the content-length right before the headers go. A wrong length would
    /// cut the body or, worse, splice it into the next request.
    fn send_held(&mut self, engine: &Engine, content_length: Option<u64>, held: &[u8], end_of_stream: bool) {
        let Some(turn) = &self.turn else { return };
        if let Some(model) = turn.model().and_then(|k| engine.model(k)) {
            self.body.decide(&model.into(), turn.record().output_cap_tokens);
        }
        let (first, rest) = held.split_at_checked(most_peeked(engine)).unwrap_or((held, &[]));
        let mut new = self.body.rewrite(first);
        if let Some(length) = content_length {
            let new_size = new.as_ref().map_or(first.len(), Vec::len);
            let length = self.body.fix_length(length, first.len(), new_size).to_string();
            set_request_header("content-length", Some(&length));
        }
        if !rest.is_empty() {
            let Some(new_rest) = self.read_on(engine, rest, end_of_stream) else { return self.reset() };
            if new.is_some() || new_rest.is_some() {
                let (first, rest) = (new.as_deref().unwrap_or(first), new_rest.as_deref().unwrap_or(rest));
                new = Some([first, rest].concat());
            }
        }
        if let Some(new) = new {
            let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, held.len(), &new);
        }
    }

    /// Rewrites a later piece of the body.
    pub(crate) fn send_next_piece(&mut self, engine: &Engine, size: usize, end_of_stream: bool) {
        let piece = body_bytes(BufferType::HttpRequestBody, 0, size);
        match self.read_on(engine, &piece, end_of_stream) {
            None => self.reset(),
            Some(Some(new)) => {
                let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, size, &new);
            }
            Some(None) => {}
        }
    }

    /// Reads what comes behind the decision, and returns what is sent in its place; `Some(None)` where it is sent as it is.
    ///
    /// `None`: the request must be reset. A body that exceeds its declared length, stops being JSON, ends too early or asks
    /// for what it may not could be served more than was reserved; so could one whose input the session cannot pay for.
    fn read_on(&mut self, engine: &Engine, piece: &[u8], end_of_stream: bool) -> Option<Option<Vec<u8>>> {
        self.body.scan(piece);
        let new = self.body.rewrite(piece);
        let progress = self.body.progress();
        let is_cut = end_of_stream && progress != Progress::Complete;
        let contradicts = is_cut || progress == Progress::Invalid || self.body.overran();
        let read = self.body.read_input();
        let covered = covering::covers(engine, &self.metrics, &mut self.turn, &read);
        (!contradicts && !self.body.is_forbidden() && covered).then_some(new)
    }
}

/// Bytes of a body on which a decision is made.
fn most_peeked(engine: &Engine) -> usize {
    match engine.config().mode {
        Mode::Peek => usize::try_from(engine.config().peek_bytes).unwrap_or(usize::MAX),
        Mode::Headers | Mode::Body => usize::MAX,
    }
}
