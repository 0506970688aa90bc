//! The body of an answer: the token usage that it reports ([`reader`], [`documents`], [`findings`], [`usage`]), whether that
//! can be true ([`plausible`]), and the event that is hidden from the client ([`hide_usage`]).

pub mod documents;
pub mod findings;
pub mod hide_usage;
pub mod plausible;
pub mod reader;
pub mod usage;
