//! What callbacks return.

/// What a callback returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Forward what the callback saw.
    Continue,
    /// Hold it back.
    Pause,
}

impl Action {
    /// Reads what a callback returned: 0 lets it pass, anything else holds it back.
    pub(crate) fn from_abi(returned: u32) -> Self {
        if returned == 0 { Action::Continue } else { Action::Pause }
    }
}
