//! A routing policy: an NNEF archive, checked before it is trusted, and run by tract.
//!
//! The archive is a plain `.tar` with `graph.nnef`, one `.dat` file per variable, and the manifest
//! `seqroute.json` ([`manifest`]). It may come from anyone who can write a configuration, so [`archive`] caps every
//! size before anything is parsed and [`graph`] admits only the documented subset of NNEF before tract sees it.
//! Normalisation is part of the graph: the input is the raw state of [`crate::decide::features`].

pub mod archive;
pub mod error;
pub mod graph;
pub mod manifest;
mod network;
pub mod write;

use crate::MAX_MODELS;
use crate::config::ModelConfig;
use crate::decide::features;
use crate::decide::rule::QValues;
use archive::Archive;
pub use error::PolicyError;
use manifest::{Manifest, SCHEMA_VERSION};
use network::Network;

/// A policy that is ready to run.
#[derive(Debug)]
pub struct Policy {
    manifest: Manifest,
    network: Network,
}

impl Policy {
    /// Opens an archive (the bytes of the `.tar`) and checks that it is whole and made for this code's features.
    ///
    /// # Errors
    /// [`PolicyError`] for anything else.
    pub fn open(tar: &[u8]) -> Result<Policy, PolicyError> {
        let archive = Archive::read(tar)?;
        let manifest = Manifest::from_json(archive.file(manifest::FILE_NAME)?)?;
        let content = archive.content_sha256();
        if manifest.sha256 != content {
            let found = &manifest.sha256;
            return Err(PolicyError::Manifest(format!(
                "manifest `sha256`: found {found}, the files give {content}"
            )));
        }
        check_manifest(&manifest)?;
        graph::check(&archive)?;
        let network = Network::load(tar, manifest.features.len(), manifest.models.len())?;
        Ok(Policy { manifest, network })
    }

    /// Checks that the policy chooses among exactly these models, in this order.
    ///
    /// # Errors
    /// [`PolicyError`] that names both lists.
    pub fn check_models(&self, models: &[ModelConfig]) -> Result<(), PolicyError> {
        let trained: Vec<String> = self.manifest.models.iter().map(|model| model.name.clone()).collect();
        let configured: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
        if trained == configured { Ok(()) } else { Err(PolicyError::Models { trained, configured }) }
    }

    /// What the trainer wrote about the policy.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The policy's short name in records and headers: name, `@`, first 12 digits of its hash.
    #[must_use]
    pub fn id(&self) -> String {
        let digits: String = self.manifest.sha256.chars().take(12).collect();
        format!("{}@{digits}", self.manifest.name)
    }

    /// Runs the policy on one state.
    ///
    /// # Errors
    /// [`PolicyError`] when the engine fails; the values may still be NaN or infinite.
    pub fn values(&self, state: &[f32]) -> Result<QValues, PolicyError> {
        self.network.run(state)
    }
}

fn check_manifest(manifest: &Manifest) -> Result<(), PolicyError> {
    let error = |field: &str, found: String, expected: String| {
        Err(PolicyError::Manifest(format!("manifest `{field}`: found {found}, expected {expected}")))
    };
    if manifest.schema_version != SCHEMA_VERSION {
        return error("schema_version", manifest.schema_version.to_string(), SCHEMA_VERSION.to_string());
    }
    let models = manifest.models.len();
    if !(1..=MAX_MODELS).contains(&models) {
        return error("models", format!("{models} models"), format!("1 to {MAX_MODELS}"));
    }
    let expected = features::names(models);
    if manifest.features != expected {
        let differs = manifest.features.iter().zip(&expected).position(|(found, expected)| found != expected);
        let at = differs.unwrap_or(manifest.features.len().min(expected.len()));
        let name = |list: &[String]| list.get(at).map_or("nothing".to_owned(), |name| format!("`{name}`"));
        return error(&format!("features[{at}]"), name(&manifest.features), name(&expected));
    }
    let hash = features::names_sha256(&expected);
    if manifest.features_sha256 != hash {
        return error("features_sha256", manifest.features_sha256.clone(), hash);
    }
    Ok(())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
