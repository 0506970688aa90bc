//! What a request's headers say: which API it calls, whose it is, and which hints are trusted.

pub mod api;
pub mod call;
pub mod caller;
pub mod conversation;
pub mod forward;
pub mod head;
pub mod headers;
pub mod identity;
pub mod path;
pub mod refused;
pub mod session_id;
