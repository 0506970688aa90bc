//! The compiled filter. `make wasm` builds it; the tests never build it themselves, so that they test what ships.

use std::path::PathBuf;

use anyhow::{Context, Result};
use seqroute_harness::{FailurePolicy, Module, ModuleCache, VmOptions};

/// Where the harness's virtual clock starts, ms since the epoch.
pub const START_MS: u64 = 1_800_000_000_000;

/// Path of the filter's module: `$SEQROUTE_WASM`, or where `make wasm` puts it.
///
/// # Errors
/// When there is no such file.
pub fn path() -> Result<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let path = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(default), PathBuf::from);
    path.canonicalize().with_context(|| format!("no filter at `{}`: run `make wasm`", path.display()))
}

/// The module, compiled for the harness; the machine code is cached in the target folder.
///
/// # Errors
/// When the file is missing or does not load.
pub fn compiled() -> Result<Module> {
    Ok(Module::from_file(path()?, ModuleCache::in_target_dir())?)
}

/// A VM as the shipped Envoy configuration runs the filter.
#[must_use]
pub fn vm_options() -> VmOptions {
    VmOptions {
        vm_id: "seqroute".to_owned(),
        failure_policy: FailurePolicy::Reload,
        allow_on_headers_stop_iteration: true,
        ..VmOptions::default()
    }
}
