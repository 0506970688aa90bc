//! The compiled filter. `make wasm` builds it; the tests never build it themselves, so that they test what ships.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// Path of the filter's module: `$SEQROUTE_WASM`, or where `make wasm` puts it.
///
/// # Errors
/// When there is no such file.
pub fn path() -> Result<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let path = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(default), PathBuf::from);
    path.canonicalize().with_context(|| format!("no filter at `{}`: run `make wasm`", path.display()))
}
