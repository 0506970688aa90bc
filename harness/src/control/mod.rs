//! What a test decides: time, chance, faults, the order of host calls, and options.

pub(crate) mod clock;
pub mod cuts;
pub(crate) mod faults;
pub(crate) mod foreign_functions;
pub(crate) mod interleaving;
pub(crate) mod lock;
pub(crate) mod options;
pub(crate) mod random;
