//! Offline learners: one file each, all from the same transitions to the same network.

pub mod cql;
pub mod network;
