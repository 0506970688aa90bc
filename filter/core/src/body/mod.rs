//! The body of a request: what it says ([`facts`], [`messages`], [`opening`], [`tools`], [`text`]), what it asks of its model
//! ([`wants`]), what its members mean to servers
//! ([`members`]), how much input it is ([`input`]), and what is changed in it on its way to the upstream
//! ([`marks`], [`edits`], [`rewrite`]).

pub mod edits;
pub mod facts;
pub mod input;
pub mod marks;
pub mod members;
pub mod messages;
pub mod opening;
pub mod rewrite;
pub mod text;
pub mod tools;
pub mod wants;
