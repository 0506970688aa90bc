//! A budget that is not the caller's own.

mod fresh_ids;
mod invented_teams;
mod repeated_headers;
mod stolen_session;
mod trusted_headers;

use super::Kind;

pub const KINDS: &[Kind] = &[
    fresh_ids::NEW,
    fresh_ids::NONE,
    fresh_ids::LONG,
    invented_teams::KIND,
    repeated_headers::KIND,
    stolen_session::KIND,
    trusted_headers::KIND,
];
