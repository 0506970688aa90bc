//! One HTTP stream: a request on its way in, an answer on its way out, and the end of both.
//!
//! Stages of a request: `New` → (`Reading` the body while the headers are held) → `Routed` or `Refused`, or
//! `Passing` untouched (with a turn where it is only observed). Whatever happens, Envoy calls `on_log` last, and only
//! there a turn ends, so money is settled or refunded exactly once. A VM that dies never gets there; its leases expire.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::config::{AcceptEncoding, CLUSTER_HEADER, Mode};
use seqroute_core::counters::Counts;
use seqroute_core::engine::{Admission, Answer, Engine, Turn};
use seqroute_core::reply::headers::reply_headers;
use seqroute_core::reply::local_reply::LocalReply;
use seqroute_core::request::api;
use seqroute_core::request::head::{HeadVerdict, RequestHead, is_internal};
use seqroute_core::wire::json::Progress;

use crate::answering::Answering;
use crate::ending;
use crate::header_map;
use crate::host::{self, Metrics, SharedData};

/// Room for a decision record, so that it is not moved while it is written. A longer one makes room for itself.
const RECORD_BYTES: usize = 2048;

/// A stream of the plugin.
pub struct Stream {
    engine: Option<Rc<Engine>>,
    metrics: Rc<Metrics>,
    stage: Stage,
    body: RequestBody,
    turn: Option<Box<Turn>>,
    /// The answer, once its headers have come; `None` for a stream without a turn.
    answering: Option<Answering>,
}

enum Stage {
    New,
    Reading(Box<RequestHead>),
    /// The body goes to the chosen model, its name rewritten.
    Routed,
    /// The body goes to the chosen model as it is.
    RoutedUnread,
    Refused,
    Passing,
}

impl Stream {
    /// A stream that has seen nothing yet.
    pub fn new(engine: Option<Rc<Engine>>, metrics: Rc<Metrics>) -> Self {
        Stream {
            engine,
            metrics,
            stage: Stage::New,
            body: RequestBody::default(),
            turn: None,
            answering: None,
        }
    }

    /// Reads the new bytes of the body, which Envoy has collected while the headers are held, and decides once enough
    /// of it was read.
    fn read_body(&mut self, engine: &Engine, size: usize, end_of_stream: bool) -> Action {
        let seen = usize::try_from(self.body.scanned_bytes()).unwrap_or(usize::MAX);
        let new = body_bytes(BufferType::HttpRequestBody, seen, size.saturating_sub(seen));
        self.body.scan(&new);
        let complete = self.body.progress() == Progress::Complete;
        let invalid = self.body.progress() == Progress::Invalid || (end_of_stream && !complete);
        let read_enough =
            engine.config().mode == Mode::Peek && self.body.scanned_bytes() >= engine.config().peek_bytes;
        if !invalid && !complete && !read_enough {
            return Action::Pause;
        }
        let Stage::Reading(head) = std::mem::replace(&mut self.stage, Stage::Passing) else {
            return Action::Continue;
        };
        if invalid {
            return self.decide_on_invalid_body(engine, &head);
        }
        // Only white space may follow a complete object, so its length is the body's unless a header says better.
        let length = head.body_bytes.or(complete.then(|| self.body.scanned_bytes()));
        let facts = self.body.facts().of_path(&head.path);
        let mut counts = Counts::default();
        let admission = engine.admit(&SharedData, &head, Some(&facts), length, host::now_ms(), &mut counts);
        self.metrics.add(&counts);
        let action = self.carry_out(engine, &head, admission);
        if matches!(self.stage, Stage::Routed) {
            let held = if seen == 0 { new } else { body_bytes(BufferType::HttpRequestBody, 0, size) };
            self.send_first_piece(engine, head.body_bytes, &held);
        }
        action
    }

    fn decide_on_invalid_body(&mut self, engine: &Engine, head: &RequestHead) -> Action {
        let mut counts = Counts::default();
        let now_ms = host::now_ms();
        let refused = engine.refuse_invalid_body(head, now_ms, &mut counts);
        let admission = refused
            .unwrap_or_else(|| engine.admit(&SharedData, head, None, head.body_bytes, now_ms, &mut counts));
        self.metrics.add(&counts);
        let action = self.carry_out(engine, head, admission);
        if matches!(self.stage, Stage::Routed) {
            self.stage = Stage::RoutedUnread;
        }
        action
    }

    fn carry_out(&mut self, engine: &Engine, head: &RequestHead, admission: Admission) -> Action {
        match admission {
            Admission::Route(turn) => {
                if let Some(model) = turn.model().and_then(|k| engine.model(k)) {
                    set_request_header(CLUSTER_HEADER, Some(&model.cluster));
                    if head.accepts_encoded && engine.config().accept_encoding == AcceptEncoding::Remove {
                        set_request_header("accept-encoding", None);
                    }
                    if api::model_of_path(&head.path).is_some() {
                        write_model_into_path(&model.name);
                    }
                    // Envoy clears the route by itself for this ABI version; later versions will not.
                    let _ = hostcalls::call_foreign_function("clear_route_cache", None);
                }
                self.turn = Some(turn);
                self.stage = Stage::Routed;
                Action::Continue
            }
            Admission::Refuse(turn, reply) => {
                self.turn = Some(turn);
                self.stage = Stage::Refused;
                host::send(&reply);
                Action::Pause
            }
            Admission::Observe(turn) => {
                self.turn = Some(turn);
                self.stage = Stage::Passing;
                Action::Continue
            }
            Admission::Bypass => {
                self.stage = Stage::Passing;
                Action::Continue
            }
        }
    }

    /// Rewrites what was held back and makes the content-length right before the headers go. A wrong length would
    /// cut the body or, worse, splice it into the next request.
    fn send_first_piece(&mut self, engine: &Engine, content_length: Option<u64>, held: &[u8]) {
        let Some(turn) = &self.turn else { return };
        if let Some(model) = turn.model().and_then(|k| engine.model(k)) {
            self.body.decide(&model.name, turn.record().output_cap_tokens);
        }
        let new = self.body.rewrite(held);
        if let Some(length) = content_length {
            let new_size = new.as_ref().map_or(held.len(), Vec::len);
            let length = self.body.fix_length(length, held.len(), new_size).to_string();
            set_request_header("content-length", Some(&length));
        }
        if let Some(new) = new {
            let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, held.len(), &new);
        }
    }

    /// Rewrites a later piece of the body.
    ///
    /// A body that exceeds its declared length, stops being JSON or ends too early is reset: no honest client sends it,
    /// and an upstream that parses it differently might serve more than was reserved.
    fn send_next_piece(&mut self, size: usize, end_of_stream: bool) {
        let piece = body_bytes(BufferType::HttpRequestBody, 0, size);
        self.body.scan(&piece);
        let new = self.body.rewrite(&piece);
        let progress = self.body.progress();
        let is_cut = end_of_stream && progress != Progress::Complete;
        if is_cut || progress == Progress::Invalid || self.body.overran() {
            let _ = hostcalls::reset_http_request();
        } else if let Some(new) = new {
            let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, size, &new);
        }
    }

    /// What was seen of the answer.
    fn answer(&self, engine: &Engine, turn: &Turn) -> Answer {
        let bytes_per_token = engine.config().estimate.bytes_per_token;
        let seen = self.answering.as_ref().map(|answering| answering.seen(turn, bytes_per_token));
        let seen = seen.unwrap_or_default();
        // A turn without a model is a refusal.
        if seen.is_success() || turn.model().is_none() {
            return seen;
        }
        // A body that is not scanned to its end may have been sent whole, and may have said anything.
        let (is_sent_whole, kept) = match self.stage {
            Stage::Routed => (self.body.progress() == Progress::Complete, self.body.facts().detached),
            _ => (true, turn.api().can_keep_answers()),
        };
        Answer { upstream: ending::upstream(seen.status, is_sent_whole), kept, ..seen }
    }
}

fn add_decision_headers(turn: &Turn) {
    for (name, value) in reply_headers(turn.record(), turn.wants_debug_headers()) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value.as_bytes()));
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        let headers = header_map::read(MapType::HttpRequestHeaders);
        let mut counts = Counts::default();
        let verdict = RequestHead::read(engine.config(), &headers, &mut counts);
        self.metrics.add(&counts);
        // A shadow changes nothing, not even these.
        let enforces = !engine.config().is_shadow();
        let internal = headers.iter().filter(|(name, _)| enforces && is_internal(name));
        for name in internal.filter_map(|(name, _)| std::str::from_utf8(name).ok()) {
            set_request_header(name, None);
        }
        match verdict {
            HeadVerdict::Bypass => {
                self.stage = Stage::Passing;
                Action::Continue
            }
            HeadVerdict::Refuse(invalid) => {
                self.stage = Stage::Refused;
                host::send(&LocalReply::to_invalid_header(invalid, engine.config()));
                Action::Pause
            }
            HeadVerdict::Llm(head) if engine.config().mode == Mode::Headers => {
                let mut counts = Counts::default();
                let length = head.body_bytes;
                let admission = engine.admit(&SharedData, &head, None, length, host::now_ms(), &mut counts);
                self.metrics.add(&counts);
                let action = self.carry_out(&engine, &head, admission);
                if matches!(self.stage, Stage::Routed) {
                    self.stage = Stage::RoutedUnread;
                }
                action
            }
            HeadVerdict::Llm(head) if end_of_stream => self.decide_on_invalid_body(&engine, &head),
            HeadVerdict::Llm(head) => {
                self.body = RequestBody::new(head.api);
                self.stage = Stage::Reading(head);
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        match &self.stage {
            Stage::Reading(_) => return self.read_body(&engine, size, end_of_stream),
            Stage::Routed => self.send_next_piece(size, end_of_stream),
            Stage::Refused => return Action::Pause,
            Stage::New | Stage::RoutedUnread | Stage::Passing => {}
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        match &self.stage {
            Stage::Reading(_) => {
                let stage = std::mem::replace(&mut self.stage, Stage::Passing);
                // A complete object would have been decided on before its trailers.
                if let Stage::Reading(head) = stage {
                    return self.decide_on_invalid_body(&engine, &head);
                }
            }
            Stage::Routed if self.body.progress() != Progress::Complete => {
                let _ = hostcalls::reset_http_request();
            }
            _ => {}
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        if let Some(turn) = &self.turn {
            let headers = header_map::read(MapType::HttpResponseHeaders);
            let answering = Answering::new(turn, &headers, self.body.asks_for_usage(), end_of_stream);
            if answering.may_shrink() {
                let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, "content-length", None);
            }
            self.answering = Some(answering);
            if !turn.record().shadow {
                add_decision_headers(turn);
            }
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if let Some(answering) = &mut self.answering {
            answering.end();
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(answering) = &mut self.answering else { return Action::Continue };
        if end_of_stream {
            answering.end();
        } else if size == 0 {
            return Action::Continue;
        }
        // An answer that is still coming needs its money: this is the place to renew the lease (`Engine::keep_alive`).
        let chunk = body_bytes(BufferType::HttpResponseBody, 0, size);
        if let Some(changed) = answering.pass(&chunk, end_of_stream) {
            let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, &changed);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        // No turn: the stream passed untouched, or Envoy answered before any filter saw it.
        let (Some(engine), Some(turn)) = (self.engine.clone(), self.turn.take()) else { return };
        let answer = self.answer(&engine, &turn);
        let mut counts = Counts::default();
        let record = engine.conclude(&SharedData, *turn, &answer, host::now_ms(), &mut counts);
        self.metrics.add(&counts);
        let mut json = Vec::with_capacity(RECORD_BYTES);
        if serde_json::to_writer(&mut json, &record).is_ok() {
            let _ = hostcalls::set_property(vec!["seqroute"], Some(&json));
        }
    }
}

/// Replaces a header of the request that is being held, or removes it. An error of the host is ignored: the request
/// goes on.
fn set_request_header(name: &str, value: Option<&str>) {
    let value = value.map(str::as_bytes);
    let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, value);
}

/// Puts the chosen model where the request's path names one.
fn write_model_into_path(model: &str) {
    let path = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, ":path").ok().flatten();
    let new = path.and_then(|path| api::path_with_model(std::str::from_utf8(&path).ok()?, model));
    if let Some(new) = new {
        set_request_header(":path", Some(&new));
    }
}

/// The bytes of a body; nothing where the host has none.
fn body_bytes(buffer: BufferType, start: usize, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(buffer, start, size).ok().flatten().unwrap_or_default()
}
