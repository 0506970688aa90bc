//! One HTTP stream: a request on its way in, an answer on its way out, and the end of both.
//!
//! Stages of a request: `New` → (`Reading` the body while the headers are held) → `Routed` or `Refused`, or
//! `Passing` untouched (with a turn where it is only observed). Whatever happens, Envoy calls `on_log` last, and only
//! there a turn ends, so money is settled or refunded exactly once. A VM that dies never gets there; its leases expire.
//!
//! A refusal waits for the rest of a short body: an HTTP/1 connection on which an answer comes before is closed.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use seqroute_core::body::input::ReadInput;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::config::{AcceptEncoding, CLUSTER_HEADER, Mode};
use seqroute_core::counters::Counts;
use seqroute_core::engine::{Admission, Answer, Engine, Turn};
use seqroute_core::reply::local_reply::LocalReply;
use seqroute_core::reply::record::Outcome;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_core::wire::json::Progress;

use crate::answering::Answering;
use crate::covering;
use crate::ending;
use crate::header_map;
use crate::headers::{add_decision_headers, forward_headers, remove_internal_headers, set_request_header};
use crate::host::{self, Metrics, SharedData};
use crate::stage::Stage;

/// Room for a decision record, so that it is not moved while it is written. A longer one makes room for itself.
const RECORD_BYTES: usize = 2048;
/// Bytes of a body that a refusal waits for.
const MAX_AWAITED_BYTES: usize = 64 * 1024;

/// A stream of the plugin.
pub struct Stream {
    engine: Option<Rc<Engine>>,
    pub(crate) metrics: Rc<Metrics>,
    pub(crate) stage: Stage,
    pub(crate) body: RequestBody,
    /// Bytes of a body that is not read.
    unread_bytes: u64,
    pub(crate) turn: Option<Box<Turn>>,
    /// The answer, once its headers have come; `None` for a stream without a turn.
    answering: Option<Answering>,
}

impl Stream {
    /// A stream that has seen nothing yet.
    pub fn new(engine: Option<Rc<Engine>>, metrics: Rc<Metrics>) -> Self {
        Stream {
            engine,
            metrics,
            stage: Stage::New,
            body: RequestBody::default(),
            unread_bytes: 0,
            turn: None,
            answering: None,
        }
    }

    pub(crate) fn decide_on_invalid_body(
        &mut self,
        engine: &Engine,
        head: &RequestHead,
        end_of_stream: bool,
    ) -> Action {
        let mut counts = Counts::default();
        let now_ms = host::now_ms();
        let refused = engine.refuse_invalid_body(head, now_ms, &mut counts);
        let admission = refused
            .unwrap_or_else(|| engine.admit(&SharedData, head, None, head.body_bytes, now_ms, &mut counts));
        self.metrics.add(&counts);
        let action = self.carry_out(engine, head, admission, end_of_stream);
        if matches!(self.stage, Stage::Routed) {
            self.stage = Stage::RoutedUnread;
        }
        action
    }

    pub(crate) fn carry_out(
        &mut self,
        engine: &Engine,
        head: &RequestHead,
        admission: Admission,
        end_of_stream: bool,
    ) -> Action {
        match admission {
            Admission::Route(turn) => {
                if let Some(model) = turn.model().and_then(|k| engine.model(k)) {
                    set_request_header(CLUSTER_HEADER, Some(&model.cluster));
                    if head.accepts_encoded && engine.config().accept_encoding == AcceptEncoding::Remove {
                        set_request_header("accept-encoding", None);
                    }
                    if let Some(path) = head.call.new_path(Some(&model.name)) {
                        set_request_header(":path", Some(&path));
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
                self.refuse(reply, end_of_stream);
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

    /// Refuses the request, at once or at the end of its body.
    fn refuse(&mut self, reply: LocalReply, end_of_stream: bool) {
        self.stage = Stage::Refusing(reply);
        if end_of_stream {
            self.send_refusal();
        }
    }

    fn send_refusal(&mut self) {
        if let Stage::Refusing(reply) = std::mem::replace(&mut self.stage, Stage::Refused) {
            host::send(&reply);
        }
    }

    /// Resets the request before its last byte has gone to the upstream.
    pub(crate) fn reset(&mut self) {
        self.stage = Stage::Reset;
        let _ = hostcalls::reset_http_request();
    }

    /// Counts a piece of a body that is not read.
    fn count_unread(&mut self, engine: &Engine, size: usize) {
        self.unread_bytes = self.unread_bytes.saturating_add(size as u64);
        let read = ReadInput::unread(self.unread_bytes);
        if !covering::covers(engine, &self.metrics, &mut self.turn, &read) {
            self.reset();
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
            Stage::Reset => (false, false),
            _ => (true, turn.api().can_keep_answers()),
        };
        Answer { upstream: ending::upstream(seen.status, is_sent_whole), kept, ..seen }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        let headers = header_map::read(MapType::HttpRequestHeaders);
        let mut counts = Counts::default();
        let source = host::source_address();
        let verdict = RequestHead::read(engine.config(), &headers, source.as_deref(), &mut counts);
        self.metrics.add(&counts);
        // A shadow changes nothing, not even these.
        let enforces = !engine.config().is_shadow();
        match &verdict {
            HeadVerdict::Free(_) | HeadVerdict::Llm(_) if enforces => {
                forward_headers(engine.config(), &headers)
            }
            HeadVerdict::Bypass if enforces => remove_internal_headers(&headers),
            _ => {}
        }
        match verdict {
            HeadVerdict::Bypass => {
                self.stage = Stage::Passing;
                Action::Continue
            }
            HeadVerdict::Free(call) => {
                if let Some(path) = call.new_path(None).filter(|_| enforces) {
                    set_request_header(":path", Some(&path));
                }
                // A model that the path names is known to its own cluster only.
                if let Some(model) = engine.config().model_named(call.model.as_deref()).filter(|_| enforces) {
                    set_request_header(CLUSTER_HEADER, Some(&model.cluster));
                    let _ = hostcalls::call_foreign_function("clear_route_cache", None);
                }
                self.stage = Stage::Passing;
                Action::Continue
            }
            HeadVerdict::Refuse(refusal) => {
                self.refuse(LocalReply::to_head(refusal, engine.config()), end_of_stream);
                Action::Pause
            }
            HeadVerdict::Llm(head) if engine.config().mode == Mode::Headers => {
                let mut counts = Counts::default();
                let length = head.body_bytes;
                let admission = engine.admit(&SharedData, &head, None, length, host::now_ms(), &mut counts);
                self.metrics.add(&counts);
                let action = self.carry_out(&engine, &head, admission, end_of_stream);
                if matches!(self.stage, Stage::Routed) {
                    self.stage = Stage::RoutedUnread;
                }
                action
            }
            HeadVerdict::Llm(head) if end_of_stream => self.decide_on_invalid_body(&engine, &head, true),
            HeadVerdict::Llm(head) => {
                self.body = RequestBody::of_call(&head.call, engine.members());
                self.stage = Stage::Reading(head);
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        match &self.stage {
            Stage::Reading(_) => return self.read_body(&engine, size, end_of_stream),
            Stage::Routed => self.send_next_piece(&engine, size, end_of_stream),
            Stage::RoutedUnread => self.count_unread(&engine, size),
            Stage::Refusing(_) => {
                // The pieces are collected while the stream pauses, so `size` is that of the whole body.
                if end_of_stream || size >= MAX_AWAITED_BYTES {
                    self.send_refusal();
                }
                return Action::Pause;
            }
            Stage::Refused | Stage::Reset => return Action::Pause,
            Stage::New | Stage::Passing => {}
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let Some(engine) = self.engine.clone() else { return Action::Continue };
        match &self.stage {
            Stage::Refusing(_) => {
                self.send_refusal();
                return Action::Pause;
            }
            // The body was collected, and ends here.
            Stage::Reading(_) => {
                let size = usize::try_from(self.body.scanned_bytes()).unwrap_or(usize::MAX);
                return self.read_body(&engine, size, true);
            }
            Stage::Routed if self.body.progress() != Progress::Complete => {
                self.reset();
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
        if let (Some(engine), Some(turn)) = (&self.engine, &mut self.turn) {
            covering::keep_alive(engine, &self.metrics, turn);
        }
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
        let now_ms = host::now_ms();
        let record = engine.conclude(&SharedData, *turn, &answer, now_ms, &mut counts);
        self.metrics.add(&counts);
        let most = engine.config().record.refusals_per_second;
        if record.outcome == Outcome::Refused && !host::may_log_refusal(most, now_ms) {
            return;
        }
        let mut json = Vec::with_capacity(RECORD_BYTES);
        if serde_json::to_writer(&mut json, &record).is_ok() {
            let _ = hostcalls::set_property(vec!["seqroute"], Some(&json));
        }
    }
}

/// The bytes of a body; nothing where the host has none.
pub(crate) fn body_bytes(buffer: BufferType, start: usize, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(buffer, start, size).ok().flatten().unwrap_or_default()
}
