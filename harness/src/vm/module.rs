//! A compiled plugin.
//!
//! Compiling a large module takes seconds, so it is done once: all VMs of a process share a module (a clone is a
//! reference), and a cache directory keeps the machine code for the next process. The cache checks the compiler's
//! version and settings; an invalid entry is compiled again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, InstancePre, PoolingAllocationConfig,
};

use crate::abi::version::AbiVersion;
use crate::guest::state::VmState;
use crate::vm::error::Error;
use crate::vm::link::{Import, check_exports, link};

const MARKERS: [(&str, AbiVersion); 3] = [
    ("proxy_abi_version_0_2_1", AbiVersion::V0_2_1),
    ("proxy_abi_version_0_2_0", AbiVersion::V0_2_0),
    ("proxy_abi_version_0_1_0", AbiVersion::V0_1_0),
];

/// Where compiled code is stored between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleCache {
    directory: Option<PathBuf>,
}

impl ModuleCache {
    /// Compiles every time.
    pub fn none() -> Self {
        ModuleCache { directory: None }
    }

    /// Stores compiled code in a directory, which is created if needed.
    pub fn dir(directory: impl Into<PathBuf>) -> Self {
        ModuleCache { directory: Some(directory.into()) }
    }

    /// Stores compiled code in the cargo target directory that contains the running program, so that `cargo clean`
    /// removes it; for any other program, in the system's temporary directory.
    pub fn in_target_dir() -> Self {
        ModuleCache::dir(target_dir().unwrap_or_else(std::env::temp_dir).join("wasm-cache"))
    }

    fn open(&self) -> wasmtime::Result<Option<Cache>> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        std::fs::create_dir_all(directory)?;
        let mut config = CacheConfig::new();
        // The cache accepts absolute paths only.
        config.with_directory(directory.canonicalize()?);
        Cache::new(config).map(Some)
    }
}

/// The cargo target directory that contains the running program.
fn target_dir() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf)
}

/// Files of this name in `<target>/wasm32-*/<profile>/`, with the times of their last modification.
fn wasm_files(target: &Path, file: &str) -> Vec<(PathBuf, SystemTime)> {
    let entries = |directory: PathBuf| std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries(target.to_owned())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("wasm32-"))
        .flat_map(|platform| entries(platform.path()))
        .filter_map(|profile| {
            let path = profile.path().join(file);
            let modified = path.metadata().ok()?.modified().ok()?;
            Some((path, modified))
        })
        .collect()
}

/// Maximum table entries, and maximum bytes of wasmtime's data per instance, in a pool. They only reserve addresses, so
/// they exceed what any real module needs.
const TABLE_ENTRIES: usize = 1 << 20;
/// Maximum tables of a module in a pool; Rust and C++ use one.
const TABLES: u32 = 4;
const INSTANCE_BYTES: usize = 1 << 20;
/// The whole address space of a module, so that a memory never outgrows its slot.
const MEMORY_BYTES: usize = 1 << 32;

fn pool(vms: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(vms)
        .total_memories(vms)
        .total_tables(vms.saturating_mul(TABLES))
        .max_tables_per_module(TABLES)
        .max_memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ENTRIES)
        .max_core_instance_size(INSTANCE_BYTES);
    pool
}

/// A compiled and linked plugin module; clones share it.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    /// The source of the module, for [`Module::pooled`].
    bytes: Arc<[u8]>,
    cache: ModuleCache,
    /// The same module without a pool, for VMs that do not fit into the pool.
    spare: Option<Module>,
    engine: Engine,
    linked: InstancePre<VmState>,
    imports: Vec<Import>,
    abi: AbiVersion,
}

impl Module {
    /// Reads a module from a `.wasm` (or `.wat`) file.
    pub fn from_file(path: impl AsRef<Path>, cache: ModuleCache) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|error| Error::Load(format!("{}: {error}", path.display())))?;
        Module::from_bytes(&bytes, cache)
    }

    /// Loads the module of package `name` that cargo built last, for any wasm target and profile, from the target
    /// directory of the running test. It does not build the module.
    pub fn built(name: &str) -> Result<Self, Error> {
        let target = target_dir().unwrap_or_default();
        let file = format!("{}.wasm", name.replace('-', "_"));
        let newest = wasm_files(&target, &file).into_iter().max_by_key(|(_, modified)| *modified);
        let Some((path, _)) = newest else {
            let hint = "`cargo build --target wasm32-wasip1` builds it if the crate type is `cdylib`";
            return Err(Error::Load(format!("no `{file}` under `{}/wasm32-*`: {hint}", target.display())));
        };
        Module::from_file(path, ModuleCache::in_target_dir())
    }

    /// Loads a module from bytes in binary or text format.
    pub fn from_bytes(bytes: &[u8], cache: ModuleCache) -> Result<Self, Error> {
        let load = |error| Error::Load(format!("{error:#}"));
        Module::compile(bytes.into(), cache, InstanceAllocationStrategy::OnDemand, None).map_err(load)
    }

    /// The same module with a memory pool for `vms` VMs: a slot that becomes free is reused without requesting memory
    /// from the system. A canary VM and a VM that is being reloaded briefly need a slot, too. A VM that finds no free
    /// slot gets memory of its own, so a full pool is not an error. The limits of [`crate::VmOptions`] apply
    /// unchanged. The README shows how much time it saves.
    ///
    /// The pool reserves address space, 4 GiB and a guard region per slot, but no memory.
    ///
    /// # Errors
    /// The address space cannot be reserved, or the module has more than four tables.
    pub fn pooled(&self, vms: u32) -> Result<Self, Error> {
        let spare = self.inner.spare.clone().unwrap_or_else(|| self.clone());
        let strategy = InstanceAllocationStrategy::Pooling(pool(vms));
        let (bytes, cache) = (Arc::clone(&self.inner.bytes), self.inner.cache.clone());
        Module::compile(bytes, cache, strategy, Some(spare))
            .map_err(|error| Error::Load(format!("{error:#}")))
    }

    fn compile(
        bytes: Arc<[u8]>,
        cache: ModuleCache,
        strategy: InstanceAllocationStrategy,
        spare: Option<Module>,
    ) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.cache(cache.open()?);
        config.allocation_strategy(strategy);
        let engine = Engine::new(&config)?;
        let module = wasmtime::Module::new(&engine, &bytes)?;
        let exported = |marker: &str| module.get_export_index(marker).is_some();
        let Some((_, abi)) = MARKERS.into_iter().find(|(marker, _)| exported(marker)) else {
            return Err(wasmtime::Error::msg("the module exports no known proxy-wasm ABI version"));
        };
        if !exported("malloc") && !exported("proxy_on_memory_allocate") {
            return Err(wasmtime::Error::msg(
                "the module exports neither malloc nor proxy_on_memory_allocate",
            ));
        }
        check_exports(&module, abi)?;
        let (linked, imports) = link(&module, abi)?;
        Ok(Module { inner: Arc::new(Inner { bytes, cache, spare, engine, linked, imports, abi }) })
    }

    /// The ABI version the module declares.
    pub fn abi_version(&self) -> AbiVersion {
        self.inner.abi
    }

    /// The functions that the module imports, in the module's order.
    pub fn imports(&self) -> &[Import] {
        &self.inner.imports
    }

    /// The same module without a pool, if this one has one.
    pub(crate) fn spare(&self) -> Option<&Module> {
        self.inner.spare.as_ref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn linked(&self) -> &InstancePre<VmState> {
        &self.inner.linked
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("abi", &self.inner.abi).finish_non_exhaustive()
    }
}
