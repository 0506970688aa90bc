//! Finds the Envoy to run. The rules are those of `get-envoy.sh`, except that nothing is fetched: a test
//! never uses the network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// An Envoy executable that exists.
#[derive(Debug, Clone)]
pub struct EnvoyBinary {
    path: PathBuf,
}

impl EnvoyBinary {
    /// `$ENVOY_BIN` if set, otherwise `target/envoy/envoy` of the working directory or of this repository.
    ///
    /// # Errors
    /// If there is none, saying how to get one.
    pub fn locate() -> anyhow::Result<EnvoyBinary> {
        if let Some(path) = std::env::var_os("ENVOY_BIN").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            ensure!(path.is_file(), "ENVOY_BIN: no file {}", path.display());
            return Ok(EnvoyBinary { path });
        }
        let fetched = Path::new("target/envoy/envoy");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(fetched);
        [fetched.to_owned(), repository]
            .into_iter()
            .find(|path| path.is_file())
            .map(|path| EnvoyBinary { path })
            .context("no Envoy at target/envoy/envoy: run `make envoy`, or set ENVOY_BIN to an Envoy binary")
    }

    /// The executable at `path`.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn at(path: impl Into<PathBuf>) -> anyhow::Result<EnvoyBinary> {
        let path = path.into();
        ensure!(path.is_file(), "no Envoy binary at {}", path.display());
        Ok(EnvoyBinary { path })
    }

    /// Path of the executable.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has Envoy check a configuration file without serving it. Files that the configuration names must
    /// exist.
    ///
    /// # Errors
    /// If Envoy refuses the file, with Envoy's message.
    pub fn validate(&self, config_file: &Path) -> anyhow::Result<()> {
        let output = Command::new(&self.path)
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "--config-path"])
            .arg(config_file)
            .output()
            .with_context(|| format!("cannot run {}", self.path.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Envoy refuses {}: {}", config_file.display(), said.trim());
        Ok(())
    }
}
