//! Byte-wise readers of what passes through the gateway.
//!
//! They see a request or an answer in whatever chunks the network cut it into, and their result does not depend on
//! the cuts. They keep only the values they look for, each capped, and never parse the rest: a conversation of
//! 20 MB passes in constant memory, and nesting costs a counter, not a stack.

pub mod answer;
pub mod request_body;
pub mod sse;
pub mod top_level;
