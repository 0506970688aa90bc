//! Unchanged plugins of other projects: the examples of proxy-wasm-rust-sdk and the Rust test modules of
//! proxy-wasm-cpp-host. Each test checks what the module's own source or documentation promises.
//!
//! The modules are not in this repository; `CONFORMANCE.md` lists them and where they go. The tests are ignored, so
//! that a run without the modules is not mistaken for one with them; `make conformance` runs them, and fails for each
//! missing module.

mod cpp_host;
mod sdk_http;
mod sdk_other;

use std::path::PathBuf;

use seqroute_harness::{Host, HostOptions, Module, ModuleCache, Vm, VmOptions};

/// Where the modules are: `$CONFORMANCE_MODULES`, or `target/conformance` of this repository.
fn path(name: &str) -> PathBuf {
    let directory = std::env::var_os("CONFORMANCE_MODULES").map(PathBuf::from);
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/conformance"));
    directory.unwrap_or_else(default).join(format!("{name}.wasm"))
}

fn try_module(name: &str) -> Result<Module, String> {
    let path = path(name);
    assert!(path.is_file(), "no module {}: see harness/CONFORMANCE.md for where to get it", path.display());
    Module::from_file(path, ModuleCache::in_target_dir()).map_err(|error| error.to_string())
}

fn module(name: &str) -> Module {
    try_module(name).unwrap()
}

/// Starts one of the SDK's examples in a VM of a new host.
fn example(name: &str) -> (Host, Vm) {
    let host = Host::new(HostOptions::default());
    let vm = host.vm(&module(&format!("proxy_wasm_example_{name}")), VmOptions::default()).unwrap();
    (host, vm)
}

fn lines(vm: &Vm) -> Vec<String> {
    vm.logs().into_iter().map(|line| line.text).collect()
}
