//! The proxy-wasm shell: Envoy's callbacks in, the core's answers out.
//!
//! The shell translates and decides nothing: headers, bodies, shared data, metrics and the clock are converted to the
//! core's types and back (`host`), a configuration to an engine (`root`), a stream to a turn (`stream`, `answering`,
//! `ending`). What must always hold: no input causes a panic, because a panic kills the VM with every stream in it. Hence
//! the lints below, getters that return bytes (see `clippy.toml`), and host calls only in the callbacks in which Envoy
//! answers them: request headers until they are sent on, a body in its own callback.
#![cfg(target_arch = "wasm32")]
#![expect(
    missing_docs,
    reason = "the SDK's `main!` writes an undocumented function; this crate is never linked"
)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    clippy::disallowed_methods
)]

mod answering;
mod covering;
mod ending;
mod header_map;
mod headers;
mod host;
mod reading;
mod root;
mod stage;
mod stream;

use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(root::Root::default()) });
}}
