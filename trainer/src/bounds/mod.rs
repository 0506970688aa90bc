//! Bounds: what no router can beat ([`hindsight`]), and the optimum with given knowledge ([`dynamic_program`]).

pub mod dynamic_program;
mod grid;
pub mod hindsight;
