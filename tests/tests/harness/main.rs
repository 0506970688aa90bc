//! The compiled filter in our own host: every step under control, time included.

mod bad_input;
mod chunks;
mod configuration;
mod interleaving;
mod ledger;
mod modes;
mod scenarios;
mod support;
mod turns;
