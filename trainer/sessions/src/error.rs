//! Input that cannot be used: one line that names the place, what was found and what was expected.

use std::io;
use std::path::{Path, PathBuf};

/// A value out of range, as one line without its place: field, found, expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<serde_json::Error> for Invalid {
    fn from(error: serde_json::Error) -> Self {
        Invalid(error.to_string())
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system or of the decompressor.
        error: io::Error,
    },
    /// One line is unusable.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Field, found, expected.
        message: String,
    },
    /// The file as a whole is unusable.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Field, found, expected.
        message: String,
    },
}

impl DataError {
    /// Makes an I/O error of `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| DataError::Io { path: path.to_owned(), error }
    }

    /// Names line `line` (from 1) of `path`.
    pub(crate) fn line(path: &Path, line: usize, Invalid(message): Invalid) -> Self {
        DataError::Line { path: path.to_owned(), line, message }
    }
}
