//! What decision records say.

use serde::{Deserialize, Serialize};

/// What decision records say. A record never has a prompt, a raw id or a client's text but the model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// Whether records have the text block. Who has a list of sentences finds out from it which of them was sent, so it
    /// is off unless a policy is to be trained on the log; a short message is left out in any case.
    pub text: bool,
    /// Records of refusals that a worker writes in a second; further ones are counted only.
    pub refusals_per_second: u32,
}

impl Default for RecordConfig {
    fn default() -> Self {
        RecordConfig { text: false, refusals_per_second: 10 }
    }
}
