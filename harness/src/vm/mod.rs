//! One VM over its lives: loading a module, calling it, failing and reloading.

pub(crate) mod callback;
pub(crate) mod delivery;
pub(crate) mod error;
pub(crate) mod instance;
pub(crate) mod lifecycle;
pub(crate) mod link;
pub(crate) mod module;
pub(crate) mod shared;
