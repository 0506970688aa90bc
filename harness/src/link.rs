//! Linking a module to the host functions.
//!
//! As in Envoy a module that imports a function the host does not have, or has with other parameters, does not
//! load. A host that invented the function would let a plugin pass its tests that no proxy can start.

use wasmtime::{InstancePre, Linker};

use crate::module::AbiVersion;
use crate::state::VmState;
use crate::{abi, wasi};

/// A function that a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module it is imported from: `env`, `wasi_snapshot_preview1` or `wasi_unstable`.
    pub module: String,
    /// Its name.
    pub name: String,
}

/// Links `module` with every function it imports, and tells which these are.
pub(crate) fn link(
    module: &wasmtime::Module,
    abi: AbiVersion,
) -> wasmtime::Result<(InstancePre<VmState>, Vec<Import>)> {
    let mut linker = Linker::new(module.engine());
    abi::define(&mut linker, abi)?;
    wasi::define(&mut linker)?;
    let linked = linker.instantiate_pre(module)?;
    let functions = module.imports().filter(|import| import.ty().func().is_some());
    let imports =
        functions.map(|import| Import { module: import.module().to_owned(), name: import.name().to_owned() });
    Ok((linked, imports.collect()))
}
