//! The same plugins in the harness and in a real Envoy 1.40: what they log must be equal.
//!
//! These tests back the words "as Envoy" in the documentation. They need Envoy (`make envoy`).

#[path = "../common/mod.rs"]
mod common;
mod connections;
mod crashes;
mod dns;
mod envoy;
mod examples;
mod fatal;
mod grpc;
mod http2_server;
mod loading;
mod old_abi;
mod probe;
mod probes;
mod queues;
mod rare;
mod trailers;
mod upstreams;
