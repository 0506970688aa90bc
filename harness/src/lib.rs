//! A proxy-wasm host on wasmtime, for tests of any proxy-wasm plugin.
//!
//! A unit test of a plugin's core cannot cover chunk boundaries, compare-and-swap races, a VM that dies between two
//! writes, or a header that is not UTF-8. These need the compiled module and a host that behaves as Envoy does. This
//! crate is that host: it loads the module that ships, drives it callback by callback, and records what the upstream
//! and the client would have received.
//!
//! What always holds:
//!
//! - **No globals.** A [`Host`] is a value with its own clock, shared data, queues and metrics. Tests with different
//!   hosts cannot affect each other, so they run in parallel.
//! - **Determinism.** Time passes only when the test says so ([`Clock`]), and random bytes come from a seed.
//!   With one thread, the same calls give the same bytes.
//! - **The plugin cannot break the host.** A bad pointer gives a status, a trap gives an [`Error`]; neither
//!   panics.
//! - **Everything is [`Send`].** VMs can be interleaved in one thread or driven from many.
//!
//! ```
//! use seqroute_harness::{Host, HostOptions, Module, ModuleCache, VmOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wat = r#"(module (memory (export "memory") 1)
//!     (func (export "proxy_abi_version_0_2_1"))
//!     (func (export "malloc") (param i32) (result i32) i32.const 1024))"#;
//! let module = Module::from_bytes(wat.as_bytes(), ModuleCache::none())?;
//! let host = Host::new(HostOptions::default());
//! let vm = host.vm(&module, VmOptions::default())?;
//! let plugin = vm.plugin("root", b"")?;
//! let mut stream = plugin.stream();
//! stream.request_headers(&[(":method", "GET"), (":path", "/")], true)?;
//! assert_eq!(stream.upstream_request_headers().unwrap().get(":path"), Some(&b"/"[..]));
//! stream.finish()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the behaviour comes from
//!
//! Function signatures and status codes follow the Proxy-Wasm ABI 0.2.1 text. Where Envoy 1.40 (with its
//! proxy-wasm-cpp-host) does something else, Envoy wins, because that is where plugins run. `CONFORMANCE.md` lists
//! every function, the rules, what differs from Envoy on purpose, and the test behind each.
//!
//! A plugin that never returns hangs the test: there is no fuel and no deadline, as in Envoy.
//!
//! # Where to find what
//!
//! | Room | Contents |
//! |---|---|
//! | `api` | what a test holds: [`Host`], [`Vm`], [`Plugin`], [`Stream`], [`TcpConnection`], [`Exchange`] |
//! | `vm` | one VM over its lives: load, call, fail, reload |
//! | `hostcalls` | the functions a plugin calls, one file per group |
//! | `guest` | the store data of one life of a VM, and access to the guest's memory |
//! | `proxy` | what Envoy does around a filter, without any wasm |
//! | `control` | what a test decides: time, randomness, faults, the order of host calls, options |
//! | `abi` | numbers and names of the Proxy-Wasm ABI |
//!
//! A room may import from the rooms below it in this table and from no other.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod abi;
mod api;
mod control;
mod guest;
mod hostcalls;
mod proxy;
mod vm;

pub use abi::action::Action;
pub use abi::closed_by::ClosedBy;
pub use abi::log_level::LogLevel;
pub use abi::stream_type::StreamType;
pub use abi::version::AbiVersion;
pub use api::exchange::Exchange;
pub use api::host::Host;
pub use api::plugin::Plugin;
pub use api::step::{Step, StepState};
pub use api::stream::Stream;
pub use api::tcp_connection::TcpConnection;
pub use api::vm::Vm;
pub use control::clock::Clock;
pub use control::cuts;
pub use control::faults::Fault;
pub use control::foreign_functions::ForeignCall;
pub use control::interleaving::{FailingSeed, Interleaving, Schedule, ScheduledCall, search};
pub use control::options::{FailurePolicy, FinishOrder, HostOptions, VmOptions};
pub use guest::logs::{LogLine, TracedCall};
pub use proxy::callouts::{DnsQuery, GrpcCall, GrpcStream, HttpCall, HttpCallResponse};
pub use proxy::headers::HeaderMap;
pub use proxy::local_reply::{LocalResponse, ReplyOrigin};
pub use proxy::metrics::Metrics;
pub use proxy::queues::Queues;
pub use proxy::shared_data::{CasMismatch, SharedData};
pub use vm::error::{ConfigureError, ConfigureFailure, Error};
pub use vm::link::Import;
pub use vm::module::{Module, ModuleCache};
