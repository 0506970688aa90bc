//! What one callback led to.

use crate::local_reply::LocalResponse;

/// What the plugin returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let it pass.
    Continue,
    /// Hold it back.
    Pause,
}

/// Where the stream's direction stands after the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Everything so far went on.
    Forwarded,
    /// The plugin holds data back and is called again when more comes.
    Paused,
    /// Nothing goes on and nothing is delivered to the plugin until it continues the stream by itself. In
    /// Envoy, a filter that waits for the body here hangs until a timeout.
    Held,
    /// A local reply answered the client.
    Replied,
    /// The stream was reset.
    Reset,
    /// There is no plugin any more (`FailurePolicy::Open`); the data went on untouched.
    Bypassed,
}

/// The outcome of giving a stream headers, a chunk or trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the plugin returned; Pause when it was not asked and nothing went on.
    pub action: Action,
    /// Where the direction stands now.
    pub state: StepState,
    /// The local reply that answered the client, if one did.
    pub local_response: Option<LocalResponse>,
}

/// The half of a stream that `proxy_continue_stream` and `proxy_close_stream` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    /// The HTTP request.
    Request,
    /// The HTTP response.
    Response,
    /// The downstream TCP connection.
    Downstream,
    /// The upstream TCP connection.
    Upstream,
}

impl StreamType {
    pub(crate) fn from_abi(number: u32) -> Option<Self> {
        use StreamType::*;
        [Request, Response, Downstream, Upstream].into_iter().find(|kind| *kind as u32 == number)
    }
}
