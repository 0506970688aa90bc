//! One direction of a stream: what arrived, what the plugin holds, what was forwarded.
//!
//! This is Envoy's filter iteration for a single filter, without any wasm. The caller runs each callback between a
//! `begin_*` and an `end_*`.
//!
//! What always holds: bytes are forwarded in order and at most once; headers go before the body, and the body before
//! trailers; once headers are forwarded, later edits change only what the plugin reads back.

use std::sync::Arc;

use crate::proxy::body::Body;
use crate::proxy::headers::HeaderMap;

/// What a callback's return value means for its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Forward everything held so far.
    Continue,
    /// Hold this back, and deliver what arrives next.
    Pause,
    /// Hold this back, and deliver nothing more.
    HoldAll,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    Open,
    Paused,
    All,
}

/// What arrived while everything was held.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    pub(crate) data: Vec<u8>,
    pub(crate) end: bool,
    pub(crate) trailers: Option<HeaderMap>,
}

/// What was forwarded to the next hop.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) headers: Option<Arc<HeaderMap>>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<Arc<HeaderMap>>,
    pub(crate) ended: bool,
}

/// The request or the response of a stream.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Shared with what was forwarded, until the plugin edits it.
    headers: Option<Arc<HeaderMap>>,
    headers_open: bool,
    body: Body,
    trailers: Option<Arc<HeaderMap>>,
    trailers_open: bool,
    hold: Hold,
    received_end: bool,
    withheld: Withheld,
    sent: Sent,
}

impl Message {
    /// Whether headers have arrived.
    pub(crate) fn started(&self) -> bool {
        self.headers.is_some()
    }

    /// Whether the message has arrived completely.
    pub(crate) fn received_end(&self) -> bool {
        self.received_end
    }

    /// Whether nothing is delivered to the plugin now.
    pub(crate) fn held(&self) -> bool {
        self.hold == Hold::All
    }

    /// Whether the plugin holds something back.
    pub(crate) fn paused(&self) -> bool {
        self.hold != Hold::Open
    }

    /// What went on.
    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Headers arrive; returns how many.
    pub(crate) fn begin_headers(&mut self, headers: HeaderMap, end: bool) -> usize {
        let count = headers.len();
        self.headers = Some(Arc::new(headers));
        self.headers_open = true;
        self.received_end = end;
        count
    }

    /// The headers callback returned.
    pub(crate) fn end_headers(&mut self, verdict: Verdict) {
        self.settle(verdict);
        if verdict == Verdict::Continue {
            self.headers_open = false;
        }
    }

    /// A chunk arrives; returns how many bytes the callback sees.
    pub(crate) fn begin_body(&mut self, chunk: &[u8], end: bool) -> usize {
        self.received_end |= end;
        self.body.begin(chunk)
    }

    /// The body callback returned; returns how many bytes are now buffered.
    pub(crate) fn end_body(&mut self, verdict: Verdict) -> usize {
        let buffered = match verdict {
            Verdict::Continue => 0,
            _ => self.body.keep(),
        };
        self.settle(verdict);
        buffered
    }

    /// How many bytes would be buffered with `more` bytes; 0 while the body passes.
    pub(crate) fn buffered_with(&self, more: usize) -> usize {
        self.body.buffered_with(more)
    }

    /// Trailers arrive; returns how many.
    pub(crate) fn begin_trailers(&mut self, trailers: HeaderMap) -> usize {
        let count = trailers.len();
        self.trailers = Some(Arc::new(trailers));
        self.trailers_open = true;
        self.received_end = true;
        count
    }

    /// The trailers callback returned.
    pub(crate) fn end_trailers(&mut self, verdict: Verdict) {
        self.settle(verdict);
        if verdict == Verdict::Continue {
            self.trailers_open = false;
        }
    }

    /// Keeps a chunk that arrives while everything is held.
    pub(crate) fn withhold_body(&mut self, chunk: &[u8], end: bool) {
        self.withheld.data.extend_from_slice(chunk);
        self.withheld.end |= end;
        self.received_end |= end;
    }

    /// Keeps trailers that arrive while everything is held.
    pub(crate) fn withhold_trailers(&mut self, trailers: HeaderMap) {
        self.withheld.trailers = Some(trailers);
        self.received_end = true;
    }

    /// Forwards everything held, and returns what the plugin has not seen yet.
    pub(crate) fn resume(&mut self) -> Withheld {
        let withheld = std::mem::take(&mut self.withheld);
        // The message has not ended while part of it is still to be delivered.
        let unseen = !withheld.data.is_empty() || withheld.end || withheld.trailers.is_some();
        self.settle(Verdict::Continue);
        self.sent.ended &= !unseen;
        withheld
    }

    /// Makes headers and trailers unavailable to the plugin, as continuing a stream does.
    pub(crate) fn shut(&mut self) {
        self.headers_open = false;
        self.trailers_open = false;
    }

    /// Replaces whatever was to be forwarded by a complete message, without calling the plugin.
    pub(crate) fn replace(&mut self, headers: HeaderMap, body: Vec<u8>) {
        self.body.release();
        self.shut();
        self.hold = Hold::Open;
        self.received_end = true;
        let headers = Arc::new(headers);
        self.headers = Some(Arc::clone(&headers));
        let chunks = if body.is_empty() { Vec::new() } else { vec![body] };
        self.sent = Sent { headers: Some(headers), chunks, trailers: None, ended: true };
    }

    fn settle(&mut self, verdict: Verdict) {
        self.hold = match verdict {
            Verdict::Continue => Hold::Open,
            Verdict::Pause => Hold::Paused,
            Verdict::HoldAll => Hold::All,
        };
        if verdict != Verdict::Continue {
            return;
        }
        if self.sent.headers.is_none() {
            self.sent.headers.clone_from(&self.headers);
        }
        let data = self.body.release();
        if !data.is_empty() {
            self.sent.chunks.push(data);
        }
        if self.sent.trailers.is_none() {
            self.sent.trailers.clone_from(&self.trailers);
        }
        self.sent.ended = self.received_end;
    }

    /// Headers as the plugin may see them now.
    pub(crate) fn open_headers(&self) -> Option<&HeaderMap> {
        self.headers.as_deref().filter(|_| self.headers_open)
    }

    /// Headers as the plugin may edit them now.
    pub(crate) fn open_headers_mut(&mut self) -> Option<&mut HeaderMap> {
        self.headers.as_mut().filter(|_| self.headers_open).map(Arc::make_mut)
    }

    /// Trailers as the plugin may see them now.
    pub(crate) fn open_trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref().filter(|_| self.trailers_open)
    }

    /// Trailers as the plugin may edit them now; in the last body callback they are created if absent.
    pub(crate) fn open_trailers_mut(&mut self) -> Option<&mut HeaderMap> {
        if self.trailers.is_none() && self.received_end && self.body.in_callback() {
            self.trailers = Some(Arc::default());
            self.trailers_open = true;
        }
        self.trailers.as_mut().filter(|_| self.trailers_open).map(Arc::make_mut)
    }

    /// Headers as the access log sees them.
    pub(crate) fn logged_headers(&self) -> Option<&HeaderMap> {
        self.headers.as_deref()
    }

    /// Trailers as the access log sees them.
    pub(crate) fn logged_trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The body the plugin may see now.
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// The body the plugin may edit now.
    pub(crate) fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers() -> HeaderMap {
        HeaderMap::from(&[("a", "1")])
    }

    #[test]
    fn held_headers_stay_editable_while_the_body_arrives() {
        let mut message = Message::default();
        message.begin_headers(headers(), false);
        message.end_headers(Verdict::Pause);
        message.begin_body(b"one", false);
        message.end_body(Verdict::Pause);
        assert!(message.sent().headers.is_none() && message.paused() && !message.held());
        message.open_headers_mut().unwrap().set("a", "2");
        assert_eq!(message.begin_body(b"two", true), 6);
        message.end_body(Verdict::Continue);
        let sent = message.sent();
        assert_eq!(sent.headers.as_ref().unwrap().get("a"), Some(&b"2"[..]));
        assert_eq!((sent.chunks.concat(), sent.ended), (b"onetwo".to_vec(), true));
    }

    #[test]
    fn forwarded_headers_are_unavailable() {
        let mut message = Message::default();
        message.begin_headers(headers(), true);
        message.end_headers(Verdict::Continue);
        assert!(message.open_headers().is_none() && message.open_headers_mut().is_none());
        assert!(message.logged_headers().is_some() && message.sent().ended);
    }

    #[test]
    fn a_full_hold_keeps_the_rest_until_resumed() {
        let mut message = Message::default();
        message.begin_headers(headers(), false);
        message.end_headers(Verdict::HoldAll);
        message.withhold_body(b"one", false);
        message.withhold_body(b"two", true);
        assert!(message.held() && message.sent().headers.is_none());
        let rest = message.resume();
        assert_eq!((rest.data.as_slice(), rest.end), (&b"onetwo"[..], true));
        assert!(message.sent().headers.is_some() && !message.sent().ended);
    }

    #[test]
    fn trailers_may_be_added_in_the_last_body_callback_only() {
        let mut message = Message::default();
        message.begin_headers(headers(), false);
        message.end_headers(Verdict::Continue);
        message.begin_body(b"one", false);
        assert!(message.open_trailers_mut().is_none());
        message.end_body(Verdict::Continue);
        message.begin_body(b"two", true);
        message.open_trailers_mut().unwrap().add("t", "1");
        message.end_body(Verdict::Continue);
        assert_eq!(message.sent().trailers.as_deref(), Some(&HeaderMap::from(&[("t", "1")])));
    }

    proptest! {
        #[test]
        fn every_byte_is_forwarded_once_and_in_order(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..5), any::<bool>()), 0..12),
            headers_pause in any::<bool>(),
        ) {
            let mut message = Message::default();
            message.begin_headers(headers(), false);
            message.end_headers(if headers_pause { Verdict::Pause } else { Verdict::Continue });
            let mut given = Vec::new();
            for (chunk, pause) in &chunks {
                message.begin_body(chunk, false);
                message.end_body(if *pause { Verdict::Pause } else { Verdict::Continue });
                given.extend_from_slice(chunk);
                let sent = message.sent().chunks.concat();
                prop_assert!(given.starts_with(&sent) && (sent == given || *pause));
            }
            message.begin_body(b"", true);
            message.end_body(Verdict::Continue);
            prop_assert_eq!(message.sent().chunks.concat(), given);
            prop_assert!(message.sent().ended && message.sent().headers.is_some());
        }
    }
}
