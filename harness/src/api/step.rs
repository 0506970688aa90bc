//! What one callback led to.

use crate::abi::action::Action;
use crate::proxy::local_reply::LocalResponse;

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
