//! Reading input files, and writing output files that appear whole or not at all.
//!
//! An output file is written under a temporary name in its own directory, synced and renamed. Envoy watches for the
//! rename, so it never reads half a resource, and an interrupted command leaves the old file as it was.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use crate::compression::Compression;
use crate::error::{DataError, Invalid};

/// Reads a whole file.
///
/// # Errors
/// [`DataError::Io`], which names the file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(DataError::io(path))
}

/// Reads a whole file of UTF-8.
///
/// # Errors
/// [`DataError::Io`], which names the file.
pub fn read_text(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(DataError::io(path))
}

/// Calls `each` with every line of a file, which is decompressed by its name ([`Compression::of`]) and streamed.
///
/// # Errors
/// [`DataError`] for a file that cannot be read, or for the first line that `each` refuses.
pub fn for_each_line(
    path: &Path,
    mut each: impl FnMut(&str) -> Result<(), Invalid>,
) -> Result<(), DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let source = Compression::of(path).reader(file).map_err(DataError::io(path))?;
    for (index, line) in BufReader::with_capacity(1 << 16, source).lines().enumerate() {
        let line = line.map_err(|error| Invalid(format!("cannot be read: {error}")));
        let taken = line.and_then(|line| each(&line));
        taken.map_err(|invalid| DataError::line(path, index + 1, invalid))?;
    }
    Ok(())
}

/// Replaces the file at `path` with `bytes`, readable by everyone.
///
/// # Errors
/// The directory does not exist or is not writable; the file at `path` is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Replaces the file at `path` with what `write` writes, piece by piece, readable by everyone.
///
/// # Errors
/// The directory does not exist or is not writable, or `write` fails; the file at `path` is then unchanged.
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
