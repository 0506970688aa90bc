//! What tests in the harness and in a real Envoy share: the compiled filter, its configurations, policies and requests.

pub mod chat;
pub mod gateway;
pub mod module;
pub mod money;
pub mod policies;
pub mod settings;
