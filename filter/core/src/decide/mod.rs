//! The choice of a model for one turn: pure functions of a session, a request and a configuration.
//!
//! [`estimate`] prices the turn with each model, [`locks`], [`capable`] and [`mask`] remove the models that it
//! may not use,
//! [`features`] describes it to a policy, [`rule`] picks a model by the policy's values, and [`decision`] does it all.

pub mod capable;
pub mod decision;
pub mod estimate;
pub mod features;
pub mod locks;
pub mod mask;
pub mod reason;
pub mod rule;
