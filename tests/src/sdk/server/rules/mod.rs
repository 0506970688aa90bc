//! What each API takes and refuses: one file each, with the sources of its rules.

pub mod chat;
pub mod common;
pub mod generate;
mod message_blocks;
pub mod messages;
pub mod openai;
pub mod responses;
#[cfg(test)]
mod tests;
