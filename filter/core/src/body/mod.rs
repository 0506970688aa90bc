//! The body of a request: what it says ([`facts`], [`messages`], [`text`]), and what is changed in it on its way to the
//! upstream ([`marks`], [`edits`], [`rewrite`]).

pub mod edits;
pub mod facts;
pub mod marks;
pub mod messages;
pub mod rewrite;
pub mod text;
