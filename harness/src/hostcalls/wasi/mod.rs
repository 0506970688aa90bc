//! The functions of WASI preview 1 that Envoy gives a plugin.
//!
//! There are no files, sockets or arguments. These are all functions of proxy-wasm-cpp-host's `exports.cc`, with its
//! parameters and error numbers; a module that imports another one does not load, neither here nor in Envoy.

mod errno;
mod files;
mod system;

use wasmtime::Linker;

use crate::guest::state::VmState;

/// Both names under which plugins import WASI.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Defines all functions, under both module names.
pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    for module in MODULES {
        system::define(linker, module)?;
        files::define(linker, module)?;
    }
    Ok(())
}
