//! What a plugin calls: the host functions of module `env`, one file per group, and of WASI.
//!
//! Every function returns a status and never panics; only a planned crash, or a trap of the guest's own allocator,
//! ends the call as a trap. Everything the guest passes is checked before it is used.

mod buffers;
mod dns;
mod foreign;
mod grpc;
mod headers;
mod http_calls;
mod metrics;
mod properties;
mod queues;
mod shared_data;
mod streams;
mod system;
mod wasi;

use wasmtime::Linker;

use crate::abi::version::AbiVersion;
use crate::guest::state::VmState;

/// Defines the host functions that a module of this ABI version may import. As in Envoy those of other versions are
/// absent.
pub(crate) fn define(linker: &mut Linker<VmState>, abi: AbiVersion) -> wasmtime::Result<()> {
    system::define(linker)?;
    buffers::define(linker)?;
    headers::define(linker)?;
    streams::define(linker)?;
    properties::define(linker)?;
    foreign::define(linker)?;
    shared_data::define(linker)?;
    queues::define(linker)?;
    metrics::define(linker)?;
    http_calls::define(linker)?;
    grpc::define(linker)?;
    dns::define(linker)?;
    wasi::define(linker)?;
    match abi {
        AbiVersion::V0_1_0 => {
            properties::define_v0_1_0(linker)?;
            foreign::define_v0_1_0(linker)?;
            streams::define_v0_1_0(linker)
        }
        AbiVersion::V0_2_0 => streams::define_v0_2_0(linker),
        AbiVersion::V0_2_1 => {
            streams::define_v0_2_0(linker)?;
            system::define_v0_2_1(linker)
        }
    }
}
