//! Contexts, as the guest knows them by number, and what has to happen to them after a callback.

use crate::proxy::http_stream::{Direction, SharedStream};
use crate::proxy::local_reply::LocalResponse;
use crate::proxy::tcp_stream::SharedConnection;

/// A context the guest knows by number.
pub(crate) enum Context {
    Root(RootContext),
    Stream { root: u32, stream: SharedStream },
    Connection { root: u32, connection: SharedConnection },
}

/// A plugin context.
#[derive(Default)]
pub(crate) struct RootContext {
    pub(crate) root_id: String,
    pub(crate) tick: Option<Tick>,
    /// `proxy_on_done` returned false; the plugin will call `proxy_done`.
    pub(crate) pending_done: bool,
    /// What `proxy_get_status` says: the status of the call that was reported last, and its text while the
    /// report runs.
    pub(crate) call_status: (u32, String),
}

/// A timer.
#[derive(Clone, Copy)]
pub(crate) struct Tick {
    pub(crate) period_ns: u64,
    pub(crate) due_ns: u64,
}

/// Something to do once the running callback has returned.
pub(crate) enum Deferred {
    Reply { stream: u32, reply: LocalResponse },
    Continue { stream: u32, direction: Direction },
    Reset { stream: u32 },
    ContinueReading { connection: u32 },
    CloseConnection { connection: u32 },
    DeleteRoot { root: u32 },
}
