//! That others are refused, or wait.

mod heavy_json;
mod held_money;
mod refusals;
mod slow_bodies;
mod table_fill;

use super::Kind;

pub const KINDS: &[Kind] = &[
    table_fill::SESSIONS,
    table_fill::TEAMS,
    held_money::KIND,
    heavy_json::KIND,
    refusals::KIND,
    slow_bodies::KIND,
];
