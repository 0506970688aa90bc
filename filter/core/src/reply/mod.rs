//! What leaves the filter: responses of its own, headers on every answer, and the decision record.

pub mod headers;
pub mod local_reply;
pub mod record;
