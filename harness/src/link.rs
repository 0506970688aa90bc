//! Linking a module to the host functions.
//!
//! Functions the host does not know are defined all the same, answering "unimplemented", so that a module
//! that imports one it never calls still runs. Imported memories, tables and globals cannot be invented and
//! are an error.

use wasmtime::{ExternType, InstancePre, Linker, Val, ValType};

use crate::state::VmState;
use crate::{abi, wasi};

const UNIMPLEMENTED: u32 = abi::Status::Unimplemented as u32;

/// A function that a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module it is imported from: `env`, `wasi_snapshot_preview1` or `wasi_unstable`.
    pub module: String,
    /// Its name.
    pub name: String,
    /// Whether the host does something in it. Other functions are there and answer "unimplemented".
    pub implemented: bool,
}

/// Links `module` with every function it imports, and tells which these are.
pub(crate) fn link(module: &wasmtime::Module) -> wasmtime::Result<(InstancePre<VmState>, Vec<Import>)> {
    let mut linker = Linker::new(module.engine());
    abi::define(&mut linker)?;
    wasi::define(&mut linker)?;
    let mut imports = Vec::new();
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else {
            continue;
        };
        let code = if wasi::MODULES.contains(&import.module()) {
            wasi::stub_errno(import.name())
        } else {
            UNIMPLEMENTED
        };
        let answer: Vec<Val> = ty.results().map(|ty| stub_result(&ty, code)).collect();
        let stub = move |_: wasmtime::Caller<'_, VmState>, _: &[Val], results: &mut [Val]| {
            results.copy_from_slice(&answer);
            Ok(())
        };
        // The linker refuses a name that is already taken, which is how known functions keep their
        // definition.
        let implemented = linker.func_new(import.module(), import.name(), ty, stub).is_err();
        let (module, name) = (import.module().to_owned(), import.name().to_owned());
        imports.push(Import { module, name, implemented });
    }
    Ok((linker.instantiate_pre(module)?, imports))
}

fn stub_result(ty: &ValType, code: u32) -> Val {
    match ty {
        ValType::I64 => Val::I64(i64::from(code)),
        ValType::F32 => Val::F32(0),
        ValType::F64 => Val::F64(0),
        ValType::V128 => Val::V128(0.into()),
        ValType::Ref(ty) => Val::null_ref(ty.heap_type()),
        ValType::I32 => Val::I32(code.cast_signed()),
    }
}
