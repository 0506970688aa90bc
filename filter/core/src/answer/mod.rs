//! The body of an answer: the token usage that it reports, and the event that is hidden from the client.

pub mod hide_usage;
pub mod reader;
pub mod usage;
