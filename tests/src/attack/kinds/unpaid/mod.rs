//! An answer whose usage the filter never sees.

mod leave;
mod short_lease;
mod stored_answer;
mod truthy_stream;

use super::Kind;

pub const KINDS: &[Kind] = &[
    leave::AT_WORDS,
    leave::REFERENCED,
    leave::BEFORE_ANSWER,
    leave::AT_ANY_TIME,
    truthy_stream::KIND,
    stored_answer::KIND,
    short_lease::KIND,
];
