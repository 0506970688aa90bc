//! The store data of one life of one VM, and the guest as host functions reach it.

pub(crate) mod call;
pub(crate) mod call_counts;
pub(crate) mod contexts;
pub(crate) mod logs;
pub(crate) mod process;
pub(crate) mod state;
