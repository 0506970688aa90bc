//! The host's state of one TCP connection, shared by the test's handle and the VM.
//!
//! What always holds, in either direction: bytes are forwarded in order and at most once. While the plugin returns
//! Pause they accumulate and every later callback sees all of them, because Envoy leaves them in the connection's
//! read buffer until the filter lets them pass.

use std::sync::{Arc, Mutex};

use crate::proxy::body::Body;
use crate::proxy::properties::Properties;

/// A connection's state behind its lock. Never locked while a guest call is being started.
pub(crate) type SharedConnection = Arc<Mutex<ConnectionState>>;

/// The two directions of a TCP connection, named after where the bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Downstream,
    Upstream,
}

impl Source {
    pub(crate) fn callback(self) -> &'static str {
        match self {
            Source::Downstream => "proxy_on_downstream_data",
            Source::Upstream => "proxy_on_upstream_data",
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) body: Body,
    /// The last byte has arrived.
    pub(crate) ended: bool,
    /// What was forwarded, piece by piece.
    pub(crate) sent: Vec<Vec<u8>>,
    /// The last byte was forwarded.
    pub(crate) sent_end: bool,
}

impl Flow {
    /// Bytes arrive; returns how many the callback sees.
    pub(crate) fn begin(&mut self, data: &[u8], end: bool) -> usize {
        self.ended |= end;
        self.body.begin(data)
    }

    /// The callback returned Pause: keeps the bytes.
    pub(crate) fn keep(&mut self) {
        self.body.keep();
    }

    /// Forwards everything held.
    pub(crate) fn release(&mut self) {
        let data = self.body.release();
        if !data.is_empty() {
            self.sent.push(data);
        }
        self.sent_end = self.ended;
    }
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    downstream: Flow,
    upstream: Flow,
    pub(crate) properties: Properties,
    /// The next filter, which connects to the upstream, has started.
    pub(crate) connected: bool,
    /// The client's connection is closed.
    pub(crate) closed: bool,
    pub(crate) callbacks: Vec<&'static str>,
}

impl ConnectionState {
    pub(crate) fn flow(&mut self, source: Source) -> &mut Flow {
        match source {
            Source::Downstream => &mut self.downstream,
            Source::Upstream => &mut self.upstream,
        }
    }
}
