//! Output files that appear whole or not at all.
//!
//! A file is written under a temporary name in its own directory, flushed to the disk and renamed. Envoy watches for
//! the rename, so it never reads half a resource, and an interrupted command leaves the old file as it was.

use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Replaces the file at `path` by `bytes`, readable by everyone.
///
/// # Errors
/// The directory does not exist or is not writable; the file at `path` is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Replaces the file at `path` by what `write` writes, piece by piece, readable by everyone.
///
/// # Errors
/// The directory does not exist or is not writable, or `write` fails; the file at `path` is then untouched.
pub fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".seqroute-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A temporary file is private by default; the proxy usually runs as another user.
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut file = builder.tempfile_in(directory)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, file.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        write_atomically(&path, b"one").unwrap();
        let fail = |file: &mut dyn Write| {
            file.write_all(b"tw")?;
            Err(io::Error::other("no"))
        };
        assert!(write_atomically_with(&path, fail).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert!(write_atomically(Path::new("/nonexistent/seqroute/out"), b"x").is_err());
    }
}
