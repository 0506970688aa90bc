//! What no router can beat ([`hindsight`]), and what the best one with given knowledge reaches ([`programme`]).

mod grid;
pub mod hindsight;
pub mod programme;
