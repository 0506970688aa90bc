//! Byte-wise readers of what passes through the gateway.
//!
//! They see a request or an answer in whatever chunks the network cut it into, and their result does not depend on
//! the cuts. They keep only the values they look for, each capped, and never parse the rest: a conversation of
//! 20 MB passes in constant memory, and nesting costs a counter, not a stack.

pub mod answer;
pub mod edits;
pub mod event_stream;
pub mod facts;
pub mod hide_usage;
pub mod json;
pub mod key;
pub mod marks;
pub mod messages;
pub mod request_body;
pub mod slot;
pub mod sse;
pub mod unescape;
