//! The files of a policy archive, with every size capped before anything is parsed.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;

use crate::policy::error::PolicyError;
use crate::policy::manifest::FILE_NAME;

/// Largest archive. The compact policies are under 100 KB; the cap bounds start-up time and memory of the filter.
pub const MAX_ARCHIVE_BYTES: usize = 4 * 1024 * 1024;
/// Most files in an archive.
pub const MAX_FILES: usize = 64;
/// The graph's name in the archive.
pub const GRAPH: &str = "graph.nnef";
/// Size of a NNEF tensor file's header (NNEF 1.0.5, section 6).
pub const DAT_HEADER_BYTES: usize = 128;

/// The files of an archive by their path.
#[derive(Debug)]
pub struct Archive {
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Reads a `.tar` and refuses anything that a policy does not need: links, odd names, duplicates, excess.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn read(tar: &[u8]) -> Result<Archive, PolicyError> {
        if tar.len() > MAX_ARCHIVE_BYTES {
            return Err(PolicyError::Archive(format!(
                "found {} bytes, expected at most {MAX_ARCHIVE_BYTES}",
                tar.len()
            )));
        }
        let broken =
            |error: std::io::Error| PolicyError::Archive(format!("truncated or invalid tar: {error}"));
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type() == tar::EntryType::Directory {
                continue;
            }
            if entry.header().entry_type() != tar::EntryType::Regular || !is_plain(&path) {
                return Err(PolicyError::Archive(format!(
                    "found the entry `{path}`, expected regular files"
                )));
            }
            if files.len() >= MAX_FILES {
                return Err(PolicyError::Archive(format!("found more than {MAX_FILES} files")));
            }
            let (size, mut bytes) = (entry.size(), Vec::new());
            entry.take(MAX_ARCHIVE_BYTES as u64).read_to_end(&mut bytes).map_err(broken)?;
            if bytes.len() as u64 != size {
                return Err(PolicyError::Archive(format!(
                    "`{path}` is cut off: {} of {size} bytes",
                    bytes.len()
                )));
            }
            if files.insert(path.clone(), bytes).is_some() {
                return Err(PolicyError::Archive(format!("found `{path}` twice")));
            }
        }
        Ok(Archive { files })
    }

    /// The bytes of one file.
    ///
    /// # Errors
    /// [`PolicyError`] when it is missing.
    pub fn file(&self, path: &str) -> Result<&[u8], PolicyError> {
        self.files
            .get(path)
            .map(Vec::as_slice)
            .ok_or_else(|| PolicyError::Archive(format!("`{path}` is missing")))
    }

    /// The tensor files: path and bytes.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".dat"))
            .map(|(path, bytes)| (path.as_str(), &**bytes))
    }

    /// SHA-256 (hexadecimal) over all files but the manifest, in the order of their paths: for each the length of
    /// the path (`u64`, little endian), the path, the length of the content, the content.
    #[must_use]
    pub fn content_sha256(&self) -> String {
        content_sha256(self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
    }
}

/// See [`Archive::content_sha256`]; the files must come in the order of their paths.
#[must_use]
pub fn content_sha256<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files.filter(|(path, _)| *path != FILE_NAME) {
        for part in [path.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_plain(path: &str) -> bool {
    let fits = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    path.len() <= 100 && path.split('/').count() <= 2 && path.split('/').all(fits)
}
