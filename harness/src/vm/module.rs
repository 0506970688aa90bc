//! A compiled plugin.
//!
//! Compiling a large module takes seconds, so it is done once: modules are shared by all VMs of a process (a
//! clone is a reference), and a cache directory keeps the machine code for the next process. The cache checks
//! the compiler's version and settings by itself; a damaged or foreign entry is compiled anew.

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

/// Where compiled code is kept between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleCache {
    directory: Option<PathBuf>,
}

impl ModuleCache {
    /// Compiles every time.
    pub fn none() -> Self {
        ModuleCache { directory: None }
    }

    /// Keeps compiled code in a directory, which is made if needed.
    pub fn dir(directory: impl Into<PathBuf>) -> Self {
        ModuleCache { directory: Some(directory.into()) }
    }

    /// Keeps compiled code in the cargo target directory the running program lies in, so that `cargo clean`
    /// removes it; in the system's temporary directory for a program that lies elsewhere.
    pub fn in_target_dir() -> Self {
        ModuleCache::dir(target_dir().unwrap_or_else(std::env::temp_dir).join("wasm-cache"))
    }

    fn open(&self) -> wasmtime::Result<Option<Cache>> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        std::fs::create_dir_all(directory)?;
        let mut config = CacheConfig::new();
        // The cache takes absolute paths only.
        config.with_directory(directory.canonicalize()?);
        Cache::new(config).map(Some)
    }
}

/// The cargo target directory the running program lies in.
fn target_dir() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf)
}

/// Files of this name in `<target>/wasm32-*/<profile>/`, with the time of their last change.
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

/// Most entries of a table in a pool, and most bytes of what wasmtime keeps of an instance: more than any module needs
/// that a proxy could load, as they reserve addresses only.
const TABLE_ENTRIES: usize = 1 << 20;
/// Most tables of a module; Rust and C++ make one.
const TABLES: u32 = 4;
const INSTANCE_BYTES: usize = 1 << 20;
/// The whole address space of a module, so that a memory never outgrows its place.
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
    /// What it was compiled from, and where compiled code is kept.
    bytes: Arc<[u8]>,
    cache: ModuleCache,
    /// The same module without a pool, for VMs that find no place in this one's.
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

    /// Takes the module that cargo built last of the package `name`, in the target directory the running test lies
    /// in: of any wasm target and any profile. The test does not build it.
    pub fn built(name: &str) -> Result<Self, Error> {
        let target = target_dir().unwrap_or_default();
        let file = format!("{}.wasm", name.replace('-', "_"));
        let newest = wasm_files(&target, &file).into_iter().max_by_key(|(_, modified)| *modified);
        let Some((path, _)) = newest else {
            let hint = "`cargo build --target wasm32-wasip1` makes it, if the crate's type is `cdylib`";
            return Err(Error::Load(format!("no `{file}` under `{}/wasm32-*`: {hint}", target.display())));
        };
        Module::from_file(path, ModuleCache::in_target_dir())
    }

    /// Takes a module from bytes, in binary or in text form.
    pub fn from_bytes(bytes: &[u8], cache: ModuleCache) -> Result<Self, Error> {
        let load = |error| Error::Load(format!("{error:#}"));
        Module::compile(bytes.into(), cache, InstanceAllocationStrategy::OnDemand, None).map_err(load)
    }

    /// The same module, whose VMs take their memory from a pool with room for `vms` of them: a place that was given back
    /// is used again without asking the system for memory. A canary and a VM that is being reloaded need a place for a
    /// moment. A VM that finds none gets memory of its own, so tests cannot fail for want of places. Limits are those of
    /// [`crate::VmOptions`], as ever. The README says what it gains.
    ///
    /// The pool reserves addresses, 4 GiB and a guard for each place, and no memory.
    ///
    /// # Errors
    /// The addresses cannot be had, or the module has more than four tables.
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
            return Err(wasmtime::Error::msg("no proxy-wasm ABI version is exported, or an unknown one"));
        };
        if !exported("malloc") && !exported("proxy_on_memory_allocate") {
            return Err(wasmtime::Error::msg("neither malloc nor proxy_on_memory_allocate is exported"));
        }
        check_exports(&module, abi)?;
        let (linked, imports) = link(&module, abi)?;
        Ok(Module { inner: Arc::new(Inner { bytes, cache, spare, engine, linked, imports, abi }) })
    }

    /// The ABI version the module declares.
    pub fn abi_version(&self) -> AbiVersion {
        self.inner.abi
    }

    /// The functions the module imports, in its order.
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
