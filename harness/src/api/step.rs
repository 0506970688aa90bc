//! The outcome of an event on a stream.

use crate::abi::action::Action;
use crate::proxy::local_reply::LocalResponse;

/// The state of the stream's direction after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Everything so far was forwarded.
    Forwarded,
    /// The plugin holds data back and is called again when more arrives.
    Paused,
    /// Nothing is forwarded, and nothing delivered to the plugin, until it continues the stream itself. In Envoy, a
    /// filter that waits for the body here hangs until a timeout.
    Held,
    /// A local reply answered the client.
    Replied,
    /// The stream was reset.
    Reset,
    /// The VM has failed, and the data was forwarded unchanged (`FailurePolicy::Open`).
    Bypassed,
}

/// The outcome of headers, a chunk or trailers that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the plugin returned; Pause if it was not called and nothing was forwarded.
    pub action: Action,
    /// The state of the direction.
    pub state: StepState,
    /// The local reply that the client got, if any.
    pub local_response: Option<LocalResponse>,
}
