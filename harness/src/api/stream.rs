//! One request and its response, as the test plays them.
//!
//! The test plays client, router and upstream: it delivers what Envoy would deliver, in any order and chunking that a
//! proxy may produce, and reads what was forwarded in either direction.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::abi::action::Action;
use crate::abi::stream_type::StreamType;
use crate::api::step::{Step, StepState};
use crate::control::lock::lock;
use crate::control::options::FailurePolicy;
use crate::guest::contexts::Context;
use crate::proxy::headers::HeaderMap;
use crate::proxy::http_stream::{Direction, Progress, SharedStream, StreamState};
use crate::proxy::local_reply::LocalResponse;
use crate::proxy::message::{Sent, Verdict};
use crate::vm::delivery::{Event, Target};
use crate::vm::error::Error;
use crate::vm::lifecycle::{Admission, Place, VmCore};
use crate::vm::shared::{VmShared, lock_vm};

/// One HTTP stream through a plugin.
///
/// End it with [`Stream::finish`] or [`Stream::abandon`]; [`crate::Host::leaked_streams`] counts streams that are
/// merely dropped.
pub struct Stream {
    vm: Arc<VmShared>,
    state: SharedStream,
    admission: Admission,
    created: bool,
    ended: bool,
    logged: bool,
}

impl Stream {
    pub(crate) fn open(vm: Arc<VmShared>, plugin: usize) -> Self {
        let state: SharedStream = Arc::new(Mutex::new(StreamState::default()));
        let stream = Arc::clone(&state);
        let admission = lock_vm(&vm.core).admit(plugin, |root| Context::Stream { root, stream });
        Stream { vm, state, admission, created: false, ended: false, logged: false }
    }

    /// The request's headers arrive. `end_of_stream`: no body follows.
    pub fn request_headers(
        &mut self,
        headers: impl Into<HeaderMap>,
        end_of_stream: bool,
    ) -> Result<Step, Error> {
        self.drive(Direction::Request, Event::Headers(headers.into(), end_of_stream))
    }

    /// A chunk of the request's body arrives.
    pub fn request_body(&mut self, chunk: impl AsRef<[u8]>, end_of_stream: bool) -> Result<Step, Error> {
        self.drive(Direction::Request, Event::Body(chunk.as_ref(), end_of_stream))
    }

    /// The request's trailers arrive, which end it.
    pub fn request_trailers(&mut self, trailers: impl Into<HeaderMap>) -> Result<Step, Error> {
        self.drive(Direction::Request, Event::Trailers(trailers.into()))
    }

    /// The response's headers arrive from the upstream. They may come before the request has ended.
    pub fn response_headers(
        &mut self,
        headers: impl Into<HeaderMap>,
        end_of_stream: bool,
    ) -> Result<Step, Error> {
        self.drive(Direction::Response, Event::Headers(headers.into(), end_of_stream))
    }

    /// A chunk of the response's body arrives.
    pub fn response_body(&mut self, chunk: impl AsRef<[u8]>, end_of_stream: bool) -> Result<Step, Error> {
        self.drive(Direction::Response, Event::Body(chunk.as_ref(), end_of_stream))
    }

    /// The response's trailers arrive, which end it. No body chunk before them has `end_of_stream`.
    pub fn response_trailers(&mut self, trailers: impl Into<HeaderMap>) -> Result<Step, Error> {
        self.drive(Direction::Response, Event::Trailers(trailers.into()))
    }

    /// The client sends HTTP/2 metadata with this number of entries: `proxy_on_request_metadata`. The plugin cannot
    /// read them, and its result has no effect here.
    pub fn request_metadata(&mut self, entries: u32) -> Result<Step, Error> {
        self.drive(Direction::Request, Event::Metadata(entries))
    }

    /// The upstream sends HTTP/2 metadata with this number of entries: `proxy_on_response_metadata`.
    pub fn response_metadata(&mut self, entries: u32) -> Result<Step, Error> {
        self.drive(Direction::Response, Event::Metadata(entries))
    }

    /// Sets a property the plugin can read, such as `["response", "code_details"]`. Values are bytes as Envoy
    /// serialises them: text as it is, integers as eight little-endian bytes.
    pub fn set_property(&mut self, path: &[&str], value: impl AsRef<[u8]>) {
        lock(&self.state).properties.set(path, value.as_ref());
    }

    /// Ends the stream: `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`. This is possible at any time, as when the
    /// client disconnects. As in Envoy, a stream whose VM has died gets none of these callbacks.
    pub fn finish(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.ended, true) {
            return Err(Error::Misuse("the stream has ended already"));
        }
        let Admission::Attached(place) = self.admission else {
            return Ok(());
        };
        let mut core = lock_vm(&self.vm.core);
        if !core.reaches(place) {
            return Ok(());
        }
        if !self.created {
            // The context of a stream without headers is created for its log.
            self.created = true;
            create(&mut core, place)?;
        }
        core.finish(place, &self.state)?;
        self.logged = true;
        Ok(())
    }

    /// Drops the stream without notifying the plugin.
    pub fn abandon(mut self) {
        self.ended = true;
    }

    /// Whether [`Stream::finish`] called `proxy_on_log` and the plugin returned from it.
    pub fn logged(&self) -> bool {
        self.logged
    }

    pub(crate) fn drive(&mut self, direction: Direction, event: Event<'_>) -> Result<Step, Error> {
        self.check_order(direction, &event)?;
        if lock(&self.state).progress != Progress::Running {
            return Ok(self.step(direction, Action::Pause));
        }
        let vm = Arc::clone(&self.vm);
        let mut core = lock_vm(&vm.core);
        let action = match self.admission {
            Admission::Bypassed => self.pass(direction, event),
            Admission::Attached(place) if core.reaches(place) => {
                if !std::mem::replace(&mut self.created, true)
                    && let Err(error) = create(&mut core, place)
                {
                    lock(&self.state).fail();
                    return Err(error);
                }
                let target = Target { context: place.context, stream: &self.state };
                core.deliver(target, direction, event)?
            }
            Admission::Attached(_) if core.options.failure_policy == FailurePolicy::Open => {
                self.admission = Admission::Bypassed;
                self.pass(direction, event)
            }
            Admission::Attached(_) | Admission::Refused => {
                lock(&self.state).fail();
                Action::Pause
            }
        };
        drop(core);
        Ok(self.step(direction, action))
    }

    /// Forwards an event without the plugin.
    fn pass(&mut self, direction: Direction, event: Event<'_>) -> Action {
        let mut state = lock(&self.state);
        let message = state.message(direction);
        match event {
            Event::Headers(map, end) => {
                message.begin_headers(map, end);
                message.end_headers(Verdict::Continue);
            }
            Event::Body(chunk, end) => {
                message.begin_body(chunk, end);
                message.end_body(Verdict::Continue);
            }
            Event::Trailers(map) => {
                message.begin_trailers(map);
                message.end_trailers(Verdict::Continue);
            }
            Event::Metadata(_) => {}
        }
        Action::Continue
    }

    fn check_order(&self, direction: Direction, event: &Event<'_>) -> Result<(), Error> {
        if self.ended {
            return Err(Error::Misuse("the stream has ended"));
        }
        let mut state = lock(&self.state);
        if state.progress != Progress::Running {
            return Ok(());
        }
        if direction == Direction::Response && !state.request.started() {
            return Err(Error::Misuse("a response before the request's headers"));
        }
        let message = state.message(direction);
        match (event, message.started()) {
            (Event::Metadata(_), true) => Ok(()),
            (Event::Headers(..), true) => Err(Error::Misuse("headers for the second time")),
            (Event::Headers(..), false) => Ok(()),
            (_, false) => Err(Error::Misuse("a body or trailers before the headers")),
            (_, true) if message.received_end() => Err(Error::Misuse("more after the end of the message")),
            (_, true) => Ok(()),
        }
    }

    fn step(&self, direction: Direction, action: Action) -> Step {
        let mut state = lock(&self.state);
        let message = state.message(direction);
        let flow = if message.held() {
            StepState::Held
        } else if message.paused() {
            StepState::Paused
        } else {
            StepState::Forwarded
        };
        let step_state = match state.progress {
            Progress::Reset => StepState::Reset,
            Progress::Replied => StepState::Replied,
            Progress::Running if matches!(self.admission, Admission::Bypassed) => StepState::Bypassed,
            Progress::Running => flow,
        };
        Step { action, state: step_state, local_response: state.local_response.clone() }
    }

    fn sent<R>(&self, direction: Direction, look: impl FnOnce(&Sent) -> R) -> R {
        look(lock(&self.state).message(direction).sent())
    }

    /// The request headers that went to the upstream; `None` while they are held.
    pub fn upstream_request_headers(&self) -> Option<HeaderMap> {
        self.sent(Direction::Request, |sent| sent.headers.as_deref().cloned())
    }

    /// The request body that went to the upstream so far.
    pub fn upstream_request_body(&self) -> Vec<u8> {
        self.sent(Direction::Request, |sent| sent.chunks.concat())
    }

    /// The request body that went to the upstream, chunk by chunk.
    pub fn upstream_request_chunks(&self) -> Vec<Vec<u8>> {
        self.sent(Direction::Request, |sent| sent.chunks.clone())
    }

    /// The request trailers that went to the upstream.
    pub fn upstream_request_trailers(&self) -> Option<HeaderMap> {
        self.sent(Direction::Request, |sent| sent.trailers.as_deref().cloned())
    }

    /// Whether the upstream has the whole request.
    pub fn upstream_request_complete(&self) -> bool {
        self.sent(Direction::Request, |sent| sent.ended)
    }

    /// The response headers that the client got; `None` while they are held.
    pub fn client_response_headers(&self) -> Option<HeaderMap> {
        self.sent(Direction::Response, |sent| sent.headers.as_deref().cloned())
    }

    /// The response body the client got so far.
    pub fn client_response_body(&self) -> Vec<u8> {
        self.sent(Direction::Response, |sent| sent.chunks.concat())
    }

    /// The response body that the client got, chunk by chunk.
    pub fn client_response_chunks(&self) -> Vec<Vec<u8>> {
        self.sent(Direction::Response, |sent| sent.chunks.clone())
    }

    /// The response trailers the client got.
    pub fn client_response_trailers(&self) -> Option<HeaderMap> {
        self.sent(Direction::Response, |sent| sent.trailers.as_deref().cloned())
    }

    /// Whether the client has the whole response.
    pub fn client_response_complete(&self) -> bool {
        self.sent(Direction::Response, |sent| sent.ended)
    }

    /// The local reply that the client got, if any.
    pub fn local_response(&self) -> Option<LocalResponse> {
        lock(&self.state).local_response.clone()
    }

    /// Whether the stream was reset: closed by the plugin, or failed after the response had begun.
    pub fn is_reset(&self) -> bool {
        lock(&self.state).progress == Progress::Reset
    }

    /// What the plugin wrote with `proxy_set_property` under `name`; in Envoy, filter state `wasm.<name>`.
    pub fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.state).properties.filter_state(name.as_bytes()).map(<[u8]>::to_vec)
    }

    /// What the plugin wrote with foreign function `set_envoy_filter_state` under `name`, such as
    /// `envoy.upstream.dynamic_host`.
    pub fn envoy_filter_state(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.state).properties.envoy_filter_state(name).map(<[u8]>::to_vec)
    }

    /// The halves the plugin continued with `proxy_continue_stream`, in order.
    pub fn continued(&self) -> Vec<StreamType> {
        lock(&self.state).continued.clone()
    }

    /// The halves the plugin closed with `proxy_close_stream`, in order.
    pub fn closed(&self) -> Vec<StreamType> {
        lock(&self.state).closed.clone()
    }

    /// How often the plugin cleared the route cache, so that the route is chosen again.
    pub fn route_cache_clears(&self) -> u64 {
        lock(&self.state).route_cache_clears
    }

    /// The callbacks that were called for this stream, in order.
    pub fn callbacks(&self) -> Vec<&'static str> {
        lock(&self.state).callbacks.clone()
    }
}

/// Creates the stream's context in the plugin.
fn create(core: &mut VmCore, place: Place) -> Result<(), Error> {
    let root = core.instance.state().root_of(place.context);
    core.call(place.context, "proxy_on_context_create", &[place.context, root])?;
    core.run_deferred()
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            self.vm.host.leaked_streams.fetch_add(1, Ordering::SeqCst);
        }
    }
}
