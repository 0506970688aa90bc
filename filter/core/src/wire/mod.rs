//! The formats that messages are written in: JSON texts, server-sent events, Amazon event streams.
//!
//! The readers take the chunks as the network cut them, and their result does not depend on the cuts. Memory is
//! constant: only requested values are kept, and nesting costs a counter instead of a stack.

pub mod event_stream;
pub mod json;
pub mod key;
pub mod lines;
#[cfg(test)]
pub(crate) mod pieces;
pub mod slot;
pub mod sse;
pub mod unescape;
