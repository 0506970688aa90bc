//! A proxy-wasm host on wasmtime, made for tests of any proxy-wasm plugin.
//!
//! A unit test of a plugin's core says nothing about chunk borders, compare-and-swap races, a VM that dies
//! between a reservation and its settlement, or a header that is not UTF-8. Those need the compiled module
//! and a host that answers as Envoy answers. This crate is that host: it loads the module that ships, drives
//! it callback by callback, and records what the upstream and the client would have received.
//!
//! What always holds:
//!
//! - **No globals.** A [`Host`] is a value with its own clock, shared data, queues and metrics. Tests that
//!   own different hosts cannot meet, so they run in parallel.
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
//! proxy-wasm-cpp-host) does something else, Envoy wins, because that is where plugins run:
//!
//! - The stream ends with `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`. The ABI text has done before
//!   log; [`FinishOrder`] offers that order too. cpp-host leaves the order to its embedder, and Envoy logs
//!   first.
//! - A header map that is not available answers `BadArgument`, except inside `proxy_on_log`, where it is
//!   `NotFound`. Request headers are available until the headers callback returns Continue, and again in
//!   `proxy_on_log`.
//! - Writing into the middle of a body (`0 < start < size`) is `BadArgument`; only prefix, replace and append
//!   work.
//! - A module that imports a function Envoy does not have for its ABI version, or exports a callback of another
//!   shape, does not load.
//! - While a module starts it may call few host functions besides `proxy_log` and WASI; others trap.
//! - `proxy_on_vm_start` runs once per plugin, and each plugin is first configured in a throw-away canary VM.
//! - Closing or answering a stream in `proxy_on_log` ends Envoy's process; here it is a trap that says so.
//! - A counter cannot be incremented by zero or less; recording a counter adds.
//!
//! # What differs from Envoy
//!
//! - There is one filter and no router: routes are not matched and upstreams do not answer by themselves. The
//!   test plays client, router and upstream.
//! - Shared data lives as long as the host (Envoy: as long as one VM of the vm_id), until
//!   [`Host::drop_shared_data`].
//! - Nothing adds `date`, `server` or `x-request-id`.
//! - Properties are what the test sets, a few derived from the headers, the plugin's identity, and filter
//!   state.
//! - Queue notifications, ticks and timeouts of calls run when the test asks ([`Vm::run_queue_events`],
//!   [`Vm::tick`], [`Vm::run_timeouts`]).
//! - A call to a cluster without a healthy host does not fail by itself (Envoy: internal failure, 10); the test
//!   plans it with [`Fault::Status`].
//! - Names are resolved by the test ([`Vm::answer_dns_query`]).
//! - A gRPC message that was received cannot be overwritten.
//! - A plugin that never returns hangs the test: there is no fuel and no deadline, as in Envoy.

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
