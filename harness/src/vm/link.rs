//! Linking a module to the host functions.
//!
//! As in Envoy, a module does not load if it imports a function that the host does not have or has with another
//! signature. A host that made up such a function would let a plugin pass its tests that no proxy can start.

use wasmtime::{ExternType, FuncType, InstancePre, Linker, ValType};

use crate::abi::callbacks::CALLBACKS;
use crate::abi::version::AbiVersion;
use crate::guest::state::VmState;
use crate::hostcalls;

/// A function that a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The import module: `env`, `wasi_snapshot_preview1` or `wasi_unstable`.
    pub module: String,
    /// The function's name.
    pub name: String,
}

/// Links `module` with every function it imports, and returns the list of these.
pub(crate) fn link(
    module: &wasmtime::Module,
    abi: AbiVersion,
) -> wasmtime::Result<(InstancePre<VmState>, Vec<Import>)> {
    let mut linker = Linker::new(module.engine());
    hostcalls::define(&mut linker, abi)?;
    let linked = linker.instantiate_pre(module)?;
    let functions = module.imports().filter(|import| import.ty().func().is_some());
    let imports =
        functions.map(|import| Import { module: import.module().to_owned(), name: import.name().to_owned() });
    Ok((linked, imports.collect()))
}

/// Refuses a module that exports a callback with another signature, as Envoy does.
pub(crate) fn check_exports(module: &wasmtime::Module, abi: AbiVersion) -> wasmtime::Result<()> {
    for callback in &CALLBACKS {
        let Some(ExternType::Func(found)) = module.get_export(callback.name) else {
            continue;
        };
        let old = abi == AbiVersion::V0_1_0
            && ["proxy_on_request_headers", "proxy_on_response_headers"].contains(&callback.name);
        let parameters = if old { 2 } else { callback.parameters };
        if !has_signature(&found, parameters, callback.results) {
            return Err(wasmtime::Error::msg(format!(
                "bad function signature for {}: found {found}, expected {parameters} parameters and {} results, \
                 all i32",
                callback.name, callback.results
            )));
        }
    }
    Ok(())
}

fn has_signature(found: &FuncType, parameters: usize, results: usize) -> bool {
    let all_i32 = found.params().chain(found.results()).all(|ty| matches!(ty, ValType::I32));
    all_i32 && found.params().len() == parameters && found.results().len() == results
}
