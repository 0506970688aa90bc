//! More output than was reserved for.

mod cased_members;
mod many_answers;
mod unknown_limits;
mod zero_limit;

use super::Kind;

pub const KINDS: &[Kind] = &[zero_limit::KIND, unknown_limits::KIND, cased_members::KIND, many_answers::KIND];

/// Output tokens of a model that nothing limits.
const LONG: u64 = 20_000;
