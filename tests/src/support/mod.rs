//! What both worlds of tests share: the compiled filter, plugin configurations, policies and requests.

pub mod gateway;
pub mod module;
pub mod policies;
pub mod settings;
