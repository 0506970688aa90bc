//! The host functions of module `env`, one file per group.
//!
//! Every function returns a status and never panics; only a planned crash, or a trap of the guest's own
//! allocator, ends the call as a trap. Everything the guest passes is checked before it is used.

mod buffers;
mod call;
mod callouts;
mod control;
mod dns;
mod fields;
mod foreign;
mod grpc;
mod metrics;
mod properties;
mod shared;
mod system;

pub(crate) use call::{Call, Fail, OutOfBounds, Outcome, Status, restricted};

use wasmtime::Linker;

use crate::module::AbiVersion;
use crate::state::VmState;

/// Defines a host function: its module, its name, and what it does with its arguments.
macro_rules! hostcall {
    ($linker:expr, $module:expr, $name:expr, |$call:ident $(, $argument:ident: $type:ty)*| $body:expr) => {
        $linker.func_wrap(
            $module,
            $name,
            |caller: wasmtime::Caller<'_, $crate::state::VmState>, $($argument: $type),*| {
                const SLOT: $crate::counts::Slot = $crate::counts::Slot::of($name);
                $crate::abi::Call::run(caller, $name, SLOT, |$call| $body)
            },
        )?
    };
}
pub(crate) use hostcall;

/// Defines the host functions of `env` that a module of this ABI version may import. As in Envoy those of other
/// versions are not there.
pub(crate) fn define(linker: &mut Linker<VmState>, abi: AbiVersion) -> wasmtime::Result<()> {
    system::define(linker)?;
    buffers::define(linker)?;
    fields::define(linker)?;
    control::define(linker)?;
    properties::define(linker)?;
    foreign::define(linker)?;
    shared::define(linker)?;
    metrics::define(linker)?;
    callouts::define(linker)?;
    grpc::define(linker)?;
    dns::define(linker)?;
    match abi {
        AbiVersion::V0_1_0 => {
            properties::define_v0_1_0(linker)?;
            foreign::define_v0_1_0(linker)?;
            control::define_v0_1_0(linker)
        }
        AbiVersion::V0_2_0 => control::define_v0_2_0(linker),
        AbiVersion::V0_2_1 => {
            control::define_v0_2_0(linker)?;
            system::define_v0_2_1(linker)
        }
    }
}
