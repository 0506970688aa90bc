//! Why a policy archive is refused.

use crate::one_line::OneLine;

/// A policy archive that was refused, or that cannot be run or written; one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The configuration has no archive.
    #[error("policy archive: the strategy `policy` has no policy")]
    Missing,
    /// A field of the configuration is not base64.
    #[error("policy archive: `{field}` is not valid base64: {error}")]
    Base64 {
        /// The field.
        field: &'static str,
        /// Where decoding failed.
        error: base64::DecodeError,
    },
    /// The file is not a tar of the expected files.
    #[error("policy archive: {}", OneLine(.0))]
    Archive(String),
    /// The manifest cannot be read, or does not fit this code or the other files.
    #[error("policy archive: {}", OneLine(.0))]
    Manifest(String),
    /// The graph is outside the accepted subset of NNEF.
    #[error("policy archive: {}", OneLine(.0))]
    Graph(String),
    /// A tensor's file is malformed.
    #[error("policy archive: {}", OneLine(.0))]
    Tensor(String),
    /// The policy was trained for other models than the configured ones.
    #[error("policy archive: {}", OneLine(&format!(
        "trained for the models {trained:?}, the configuration has {configured:?}"
    )))]
    Models {
        /// Names in the manifest.
        trained: Vec<String>,
        /// Names in the configuration.
        configured: Vec<String>,
    },
    /// The inference engine failed on a state.
    #[error("policy archive: {}", OneLine(.0))]
    Inference(String),
    /// A network cannot be written as an archive.
    #[error("policy archive: {}", OneLine(.0))]
    Write(String),
}
