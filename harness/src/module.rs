//! A compiled plugin.
//!
//! Compiling a large module takes seconds, so it is done once: modules are shared by all VMs of a process (a
//! clone is a reference), and a cache directory keeps the machine code for the next process. The cache checks
//! the compiler's version and settings by itself; a damaged or foreign entry is compiled anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::{Cache, CacheConfig, Config, Engine, InstancePre};

use crate::error::Error;
use crate::link::{Import, link};
use crate::state::VmState;

/// The ABI version a module declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.2.1
    V0_2_1,
}

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
        let program = std::env::current_exe().unwrap_or_default();
        let target = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
        let base = target.map(Path::to_path_buf).unwrap_or_else(std::env::temp_dir);
        ModuleCache::dir(base.join("wasm-cache"))
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

/// A compiled and linked plugin module; clones share it.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
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

    /// Takes a module from bytes, in binary or in text form.
    pub fn from_bytes(bytes: &[u8], cache: ModuleCache) -> Result<Self, Error> {
        Module::compile(bytes, &cache).map_err(|error| Error::Load(format!("{error:#}")))
    }

    fn compile(bytes: &[u8], cache: &ModuleCache) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.cache(cache.open()?);
        let engine = Engine::new(&config)?;
        let module = wasmtime::Module::new(&engine, bytes)?;
        let exported = |marker: &str| module.get_export_index(marker).is_some();
        let Some((_, abi)) = MARKERS.into_iter().find(|(marker, _)| exported(marker)) else {
            return Err(wasmtime::Error::msg("no proxy-wasm ABI version is exported, or an unknown one"));
        };
        if !exported("malloc") && !exported("proxy_on_memory_allocate") {
            return Err(wasmtime::Error::msg("neither malloc nor proxy_on_memory_allocate is exported"));
        }
        let (linked, imports) = link(&module)?;
        Ok(Module { inner: Arc::new(Inner { engine, linked, imports, abi }) })
    }

    /// The ABI version the module declares.
    pub fn abi_version(&self) -> AbiVersion {
        self.inner.abi
    }

    /// The functions the module imports, in its order.
    pub fn imports(&self) -> &[Import] {
        &self.inner.imports
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
