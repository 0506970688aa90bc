//! A paid call that is not accounted, or not to the model that was chosen.

mod body_types;
mod foreign_credentials;
mod operator_calls;
mod paid_extras;
mod path_spellings;
mod router_members;
mod smuggling;

use super::Kind;

pub const KINDS: &[Kind] = &[
    path_spellings::KIND,
    operator_calls::KIND,
    router_members::KIND,
    paid_extras::TIERS,
    paid_extras::TOOLS,
    foreign_credentials::KIND,
    smuggling::KIND,
    body_types::KIND,
];
