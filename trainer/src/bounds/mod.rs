//! What no router can beat ([`hindsight`]), and what the best one with given knowledge reaches ([`dynamic_program`]).

pub mod dynamic_program;
mod grid;
pub mod hindsight;
