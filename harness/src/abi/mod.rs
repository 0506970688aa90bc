//! The host functions of module `env`, one file per group.
//!
//! Every function returns a status and never panics; only a planned crash, or a trap of the guest's own
//! allocator, ends the call as a trap. Everything the guest passes is checked before it is used.

mod buffers;
mod call;
mod callouts;
mod control;
mod fields;
mod metrics;
mod properties;
mod shared;
mod system;

pub(crate) use call::{Call, Fail, OutOfBounds, Outcome, Status};

use wasmtime::Linker;

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

/// Defines all host functions of `env`.
pub(crate) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    system::define(linker)?;
    buffers::define(linker)?;
    fields::define(linker)?;
    control::define(linker)?;
    properties::define(linker)?;
    shared::define(linker)?;
    metrics::define(linker)?;
    callouts::define(linker)
}
