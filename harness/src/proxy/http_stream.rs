//! The host's state of one HTTP stream, shared by the test's handle and the VM.
//!
//! It lives outside the VM: when the VM dies, the test can still read what the client had received.

use std::sync::{Arc, Mutex};

use crate::abi::stream_type::StreamType;
use crate::proxy::headers::HeaderMap;
use crate::proxy::local_reply::{LocalResponse, ReplyOrigin};
use crate::proxy::message::Message;
use crate::proxy::properties::{Messages, Properties};

/// A stream's state behind its lock. Never locked while a guest call is being started.
pub(crate) type SharedStream = Arc<Mutex<StreamState>>;

/// The two directions of an HTTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

impl Direction {
    pub(crate) fn headers_callback(self) -> &'static str {
        match self {
            Direction::Request => "proxy_on_request_headers",
            Direction::Response => "proxy_on_response_headers",
        }
    }

    pub(crate) fn body_callback(self) -> &'static str {
        match self {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        }
    }

    pub(crate) fn trailers_callback(self) -> &'static str {
        match self {
            Direction::Request => "proxy_on_request_trailers",
            Direction::Response => "proxy_on_response_trailers",
        }
    }

    pub(crate) fn metadata_callback(self) -> &'static str {
        match self {
            Direction::Request => "proxy_on_request_metadata",
            Direction::Response => "proxy_on_response_metadata",
        }
    }
}

/// Whether a stream is still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    #[default]
    Running,
    Replied,
    Reset,
}

/// A header or trailer map of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamMap {
    Headers(Direction),
    Trailers(Direction),
}

/// The state of one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) request: Message,
    pub(crate) response: Message,
    pub(crate) properties: Properties,
    pub(crate) progress: Progress,
    pub(crate) local_response: Option<LocalResponse>,
    pub(crate) continued: Vec<StreamType>,
    pub(crate) closed: Vec<StreamType>,
    pub(crate) route_cache_clears: u64,
    pub(crate) callbacks: Vec<&'static str>,
    pub(crate) in_log: bool,
}

impl StreamState {
    pub(crate) fn message(&mut self, direction: Direction) -> &mut Message {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn message_ref(&self, direction: Direction) -> &Message {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    /// The map a plugin may read now.
    pub(crate) fn readable(&self, map: StreamMap) -> Option<&HeaderMap> {
        match map {
            StreamMap::Headers(direction) if self.in_log => self.message_ref(direction).logged_headers(),
            StreamMap::Headers(direction) => self.message_ref(direction).open_headers(),
            // Envoy's access log has no request trailers.
            StreamMap::Trailers(Direction::Request) if self.in_log => None,
            StreamMap::Trailers(direction) if self.in_log => self.message_ref(direction).logged_trailers(),
            StreamMap::Trailers(direction) => self.message_ref(direction).open_trailers(),
        }
    }

    /// The map a plugin may edit now.
    pub(crate) fn writable(&mut self, map: StreamMap) -> Option<&mut HeaderMap> {
        match map {
            StreamMap::Headers(direction) => self.message(direction).open_headers_mut(),
            StreamMap::Trailers(direction) => self.message(direction).open_trailers_mut(),
        }
    }

    pub(crate) fn property(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.properties.get(path, &self.messages())
    }

    fn messages(&self) -> Messages<'_> {
        let response = self.response.logged_headers();
        let details = match &self.local_response {
            Some(reply) => Some(reply.details.as_str()),
            None => response.map(|_| "via_upstream"),
        };
        Messages { request: self.request.logged_headers(), response, details }
    }

    /// Replies to the client without calling the plugin, or resets the stream if a response has already begun.
    pub(crate) fn reply_directly(&mut self, reply: LocalResponse) {
        if self.response.sent().headers.is_some() {
            self.progress = Progress::Reset;
            return;
        }
        let (headers, body) = reply.for_client(self.request.logged_headers());
        self.response.replace(headers, body);
        self.progress = Progress::Replied;
        self.local_response = Some(reply);
    }

    /// What Envoy does to a stream whose VM has failed.
    pub(crate) fn fail(&mut self) {
        let answered_by_host =
            self.local_response.as_ref().is_some_and(|reply| reply.origin == ReplyOrigin::Host);
        if self.progress != Progress::Reset && !(answered_by_host && self.response.sent().ended) {
            self.reply_directly(LocalResponse::of_host(503, "wasm_fail_stream"));
        }
    }
}
