//! The contexts of a guest, and the effects on them that callbacks requested.

use crate::proxy::http_stream::{Direction, SharedStream};
use crate::proxy::local_reply::LocalResponse;
use crate::proxy::tcp_stream::SharedConnection;

/// A context, which the guest knows by its number.
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
    /// What `proxy_get_status` returns: the status of the call that was reported last, and its text while the report
    /// runs.
    pub(crate) call_status: (u32, String),
}

/// The timer of a root context.
#[derive(Clone, Copy)]
pub(crate) struct Tick {
    pub(crate) period_ns: u64,
    pub(crate) due_ns: u64,
}

/// An effect that is carried out once the running callback has returned.
pub(crate) enum Deferred {
    Reply { stream: u32, reply: LocalResponse },
    Continue { stream: u32, direction: Direction },
    Reset { stream: u32 },
    ContinueReading { connection: u32 },
    CloseConnection { connection: u32 },
    DeleteRoot { root: u32 },
}
