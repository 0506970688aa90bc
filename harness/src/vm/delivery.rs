//! Delivering events to a plugin: callbacks, and the effects that the plugin requested.
//!
//! 1. The event enters its direction of the stream.
//! 2. The callback runs, and its return value decides what is forwarded.
//! 3. Deferred effects run: a local reply passes through the response callbacks, a continued stream delivers what was
//!    withheld, a closed one is reset. They may call the plugin again, and so queue further effects.
//!
//! If the plugin traps in any of these, the client gets 503, or a reset if the response has already begun.

use crate::abi::action::Action;
use crate::abi::closed_by::ClosedBy;
use crate::control::lock::lock;
use crate::control::options::{FailurePolicy, FinishOrder};
use crate::guest::contexts::Deferred;
use crate::proxy::callouts::Delivered;
use crate::proxy::headers::HeaderMap;
use crate::proxy::http_stream::{Direction, Progress, SharedStream, StreamMap};
use crate::proxy::local_reply::LocalResponse;
use crate::proxy::merged_headers::merged;
use crate::proxy::message::Verdict;
use crate::proxy::tcp_stream::{SharedConnection, Source};
use crate::vm::error::Error;
use crate::vm::lifecycle::{Place, VmCore};

/// Something that arrives in one direction of a stream.
pub(crate) enum Event<'a> {
    Headers(HeaderMap, bool),
    Body(&'a [u8], bool),
    Trailers(HeaderMap),
    /// HTTP/2 metadata, as its number of entries.
    Metadata(u32),
}

/// A stream as the VM sees it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) context: u32,
    pub(crate) stream: &'a SharedStream,
}

impl VmCore {
    /// Delivers an event and everything that follows from it.
    pub(crate) fn deliver(
        &mut self,
        target: Target<'_>,
        direction: Direction,
        event: Event<'_>,
    ) -> Result<Action, Error> {
        let action = match event {
            Event::Headers(map, end) => self.headers(target, direction, map, end),
            Event::Body(chunk, end) => self.body(target, direction, chunk, end),
            Event::Trailers(map) => self.trailers(target, direction, map),
            Event::Metadata(entries) => {
                let returned =
                    self.call(target.context, direction.metadata_callback(), &[target.context, entries]);
                returned.map(|returned| Action::from_abi(returned.unwrap_or(0)))
            }
        };
        let outcome = action.and_then(|action| self.run_deferred().map(|()| action));
        if outcome.is_err() {
            self.after_trap(target, direction);
        }
        outcome
    }

    fn headers(
        &mut self,
        target: Target<'_>,
        direction: Direction,
        map: HeaderMap,
        end: bool,
    ) -> Result<Action, Error> {
        let map = merged(map, StreamMap::Headers(direction));
        let count = lock(target.stream).message(direction).begin_headers(map, end);
        let arguments = [target.context, count as u32, u32::from(end)];
        let returned = self.call(target.context, direction.headers_callback(), &arguments)?.unwrap_or(0);
        let verdict = match returned {
            _ if self.stopped() => Verdict::HoldAll,
            0 => Verdict::Continue,
            1 if self.options.allow_on_headers_stop_iteration => Verdict::Pause,
            _ => Verdict::HoldAll,
        };
        lock(target.stream).message(direction).end_headers(verdict);
        Ok(Action::from_abi(returned))
    }

    fn body(
        &mut self,
        target: Target<'_>,
        direction: Direction,
        chunk: &[u8],
        end: bool,
    ) -> Result<Action, Error> {
        if lock(target.stream).message(direction).held() {
            lock(target.stream).message(direction).withhold_body(chunk, end);
            return Ok(Action::Pause);
        }
        if lock(target.stream).message(direction).buffered_with(chunk.len()) > self.options.buffer_limit_bytes
        {
            self.reply(target, too_large(direction))?;
            return Ok(Action::Pause);
        }
        let visible = lock(target.stream).message(direction).begin_body(chunk, end);
        let arguments = [target.context, visible as u32, u32::from(end)];
        let returned = self.call(target.context, direction.body_callback(), &arguments)?.unwrap_or(0);
        let verdict = match returned {
            _ if self.stopped() => Verdict::HoldAll,
            0 => Verdict::Continue,
            _ => Verdict::Pause,
        };
        let buffered = lock(target.stream).message(direction).end_body(verdict);
        if verdict == Verdict::Pause && buffered > self.options.buffer_limit_bytes {
            self.reply(target, too_large(direction))?;
        }
        Ok(Action::from_abi(returned))
    }

    fn trailers(
        &mut self,
        target: Target<'_>,
        direction: Direction,
        map: HeaderMap,
    ) -> Result<Action, Error> {
        if lock(target.stream).message(direction).held() {
            lock(target.stream).message(direction).withhold_trailers(map);
            return Ok(Action::Pause);
        }
        let map = merged(map, StreamMap::Trailers(direction));
        let count = lock(target.stream).message(direction).begin_trailers(map);
        let arguments = [target.context, count as u32];
        let returned = self.call(target.context, direction.trailers_callback(), &arguments)?.unwrap_or(0);
        let verdict = match returned {
            _ if self.stopped() => Verdict::HoldAll,
            0 => Verdict::Continue,
            _ => Verdict::Pause,
        };
        lock(target.stream).message(direction).end_trailers(verdict);
        Ok(Action::from_abi(returned))
    }

    /// Whether the callback that just returned sent a local reply.
    fn stopped(&mut self) -> bool {
        std::mem::take(&mut self.instance.state_mut().stop_iteration)
    }

    /// Carries out queued effects until none are left.
    pub(crate) fn run_deferred(&mut self) -> Result<(), Error> {
        loop {
            let state = self.instance.state_mut();
            if state.deferred.is_empty() {
                return Ok(());
            }
            let effect = state.deferred.remove(0);
            match effect {
                Deferred::Reply { stream: context, reply } => {
                    if let Some(stream) = state.stream(context) {
                        self.reply(Target { context, stream: &stream }, reply)?;
                    }
                }
                Deferred::Continue { stream: context, direction } => {
                    if let Some(stream) = state.stream(context) {
                        self.resume(Target { context, stream: &stream }, direction)?;
                    }
                }
                Deferred::Reset { stream } => {
                    if let Some(stream) = state.stream(stream) {
                        lock(&stream).progress = Progress::Reset;
                    }
                }
                Deferred::ContinueReading { connection } => {
                    if let Some(connection) = state.connection(connection) {
                        let mut connection = lock(&connection);
                        connection.connected = true;
                        connection.flow(Source::Downstream).release();
                    }
                }
                Deferred::CloseConnection { connection } => {
                    if let Some(shared) = state.connection(connection) {
                        self.end_connection(connection, &shared, ClosedBy::Proxy)?;
                    }
                }
                Deferred::DeleteRoot { root } => self.delete_context(root)?,
            }
        }
    }

    /// Sends a local reply. Before any response, it passes through the plugin's response callbacks; while the response
    /// headers are held, it replaces them without calling the plugin; after that, only a reset is possible.
    fn reply(&mut self, target: Target<'_>, reply: LocalResponse) -> Result<(), Error> {
        let (headers, body) = {
            let mut stream = lock(target.stream);
            let for_client = reply.for_client(stream.request.logged_headers());
            if stream.progress == Progress::Reset {
                return Ok(());
            }
            if stream.response.started() {
                stream.reply_directly(reply);
                return Ok(());
            }
            stream.progress = Progress::Replied;
            stream.local_response = Some(reply);
            for_client
        };
        let end = body.is_empty();
        self.headers(target, Direction::Response, headers, end)?;
        if !end {
            self.body(target, Direction::Response, &body, true)?;
        }
        Ok(())
    }

    fn resume(&mut self, target: Target<'_>, direction: Direction) -> Result<(), Error> {
        let withheld = {
            let mut stream = lock(target.stream);
            // An answered request is not forwarded any more.
            let over = stream.progress == Progress::Reset
                || (stream.progress == Progress::Replied && direction == Direction::Request);
            if over || !stream.message(direction).paused() {
                return Ok(());
            }
            stream.message(direction).resume()
        };
        if !withheld.data.is_empty() || withheld.end {
            self.body(target, direction, &withheld.data, withheld.end)?;
        }
        if let Some(trailers) = withheld.trailers {
            self.trailers(target, direction, trailers)?;
        }
        Ok(())
    }

    fn after_trap(&mut self, target: Target<'_>, direction: Direction) {
        let mut stream = lock(target.stream);
        if self.options.failure_policy == FailurePolicy::Open {
            stream.message(direction).resume();
        } else {
            stream.fail();
        }
    }

    /// Ends a stream's context.
    pub(crate) fn finish(&mut self, place: Place, stream: &SharedStream) -> Result<(), Error> {
        let context = place.context;
        let outcome = match self.options.finish_order {
            FinishOrder::Envoy => self.log_context(context, stream).and_then(|()| self.done(context)),
            FinishOrder::Specification => self.done(context).and_then(|()| self.log_context(context, stream)),
        };
        outcome.and_then(|()| self.delete_context(context)).and_then(|()| self.run_deferred())
    }

    fn log_context(&mut self, context: u32, stream: &SharedStream) -> Result<(), Error> {
        lock(stream).in_log = true;
        let outcome = self.call(context, "proxy_on_log", &[context]);
        lock(stream).in_log = false;
        outcome.map(drop)
    }

    /// The result is ignored: for a stream, the result of `proxy_on_done` has no effect in Envoy.
    fn done(&mut self, context: u32) -> Result<(), Error> {
        self.call(context, "proxy_on_done", &[context]).map(drop)
    }

    pub(crate) fn delete_context(&mut self, context: u32) -> Result<(), Error> {
        let outcome = self.call(context, "proxy_on_delete", &[context]).map(drop);
        let state = self.instance.state_mut();
        state.contexts.remove(&context);
        state.callouts.cancel_all_of(context);
        outcome
    }

    /// Notifies the plugin that a connection is closed, and removes its context.
    pub(crate) fn end_connection(
        &mut self,
        context: u32,
        connection: &SharedConnection,
        by: ClosedBy,
    ) -> Result<(), Error> {
        if std::mem::replace(&mut lock(connection).closed, true) {
            return Ok(());
        }
        self.call(context, "proxy_on_downstream_connection_close", &[context, by as u32])?;
        self.call(context, "proxy_on_done", &[context])?;
        self.call(context, "proxy_on_log", &[context])?;
        self.delete_context(context)
    }

    /// Runs a callback in which root context `root` can read `data`.
    pub(crate) fn deliver_data(
        &mut self,
        root: u32,
        callback: &'static str,
        arguments: &[u32],
        data: Delivered,
    ) -> Result<(), Error> {
        self.instance.state_mut().delivered = Some((root, data));
        let outcome = self.call(root, callback, arguments);
        self.instance.state_mut().delivered = None;
        outcome?;
        self.run_deferred()
    }

    /// Runs a callback that reports a call's outcome to root context `root`; `arguments[1]` is the token.
    pub(crate) fn deliver_call(
        &mut self,
        root: u32,
        callback: &'static str,
        arguments: &[u32],
        delivered: Option<Delivered>,
        status: Option<(u32, &str)>,
    ) -> Result<(), Error> {
        let state = self.instance.state_mut();
        state.delivered = delivered.map(|delivered| (root, delivered));
        if let (Some((code, text)), Some(context)) = (status, state.root_mut(root)) {
            context.call_status = (code, text.to_owned());
        }
        let outcome = self.call(root, callback, arguments);
        let state = self.instance.state_mut();
        state.delivered = None;
        state.callouts.forget_ended(arguments[1]);
        // As in Envoy, the code stays and the text is cleared.
        if let Some(context) = state.root_mut(root) {
            context.call_status.1.clear();
        }
        outcome?;
        self.run_deferred()
    }
}

fn too_large(direction: Direction) -> LocalResponse {
    match direction {
        Direction::Request => LocalResponse::of_host(413, "request_payload_too_large"),
        Direction::Response => LocalResponse::of_host(500, "response_payload_too_large"),
    }
}
