//! Reading input files, and writing output files that appear whole or not at all.
//!
//! An output file is written under a temporary name in its own directory, synced and renamed. Envoy watches for the
//! rename, so it never reads half a resource, and an interrupted command leaves the old file as it was. A file with a
//! secret ([`write_secret`]) is readable by its owner alone from its first byte on, all others by everyone.

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
    for (index, line) in open(path)?.lines().enumerate() {
        let line = line.map_err(|error| Invalid(format!("cannot be read: {error}")));
        let taken = line.and_then(|line| each(&line));
        taken.map_err(|invalid| DataError::line(path, index + 1, invalid))?;
    }
    Ok(())
}

/// Calls `each` with every line of a file, whatever its bytes, decompressed and streamed as by [`for_each_line`].
///
/// # Errors
/// [`DataError::Io`] for a file that cannot be read.
pub fn for_each_raw_line(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), DataError> {
    for line in open(path)?.split(b'\n') {
        each(&line.map_err(DataError::io(path))?);
    }
    Ok(())
}

fn open(path: &Path) -> Result<impl BufRead, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let source = Compression::of(path).reader(file).map_err(DataError::io(path))?;
    Ok(BufReader::with_capacity(1 << 16, source))
}

/// Who may read an output file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Everyone,
    Owner,
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
    replace(path, Readers::Everyone, write)
}

/// Replaces the file at `path` with `bytes`, mode 0600 from the moment its temporary file exists, whatever mode the old
/// file had. Where this process may (as root), the file gets the owner of its directory, who then reads it.
///
/// # Errors
/// The directory does not exist or is not writable; the file at `path` is then unchanged.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, Readers::Owner, |file| file.write_all(bytes))
}

/// Gives an empty file to the owner of its directory, who could replace it anyway. Where that is not allowed, the file
/// stays this user's.
#[cfg(unix)]
fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let owner = std::fs::metadata(directory)?;
    let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    Ok(())
}

fn replace(
    path: &Path,
    readers: Readers,
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
        // Given when the file is created, so that no other process can open it in between.
        let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    let mut file = builder.tempfile_in(directory)?;
    #[cfg(unix)]
    if readers == Readers::Owner {
        give_to_owner_of(directory, file.as_file())?;
    }
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

    #[cfg(unix)]
    #[test]
    fn a_secret_is_never_readable_by_others_and_other_outputs_are() {
        use std::os::unix::fs::PermissionsExt;
        let modes = |directory: &Path| -> Vec<u32> {
            let files = std::fs::read_dir(directory).unwrap();
            files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect()
        };
        for (readers, expected) in [(Readers::Owner, 0o600), (Readers::Everyone, 0o644)] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("out");
            let look = |file: &mut dyn Write| {
                file.write_all(b"secret")?;
                file.flush()?;
                assert!(modes(directory.path()).iter().all(|mode| mode | expected == expected));
                Ok(())
            };
            replace(&path, readers, look).unwrap();
            assert_eq!(modes(directory.path()), [expected]);
        }
        // The mode of the file that is replaced does not matter.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        write_atomically(&path, b"open").unwrap();
        write_secret(&path, b"secret").unwrap();
        assert_eq!(modes(directory.path()), [0o600]);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_belongs_to_the_owner_of_its_directory() {
        use std::os::unix::fs::{MetadataExt, chown};
        let directory = tempfile::tempdir().unwrap();
        if chown(directory.path(), Some(12_345), Some(12_345)).is_err() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        let path = directory.path().join("out");
        write_secret(&path, b"secret").unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (12_345, 12_345, 0o600));
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert!(write_atomically(Path::new("/nonexistent/seqroute/out"), b"x").is_err());
    }
}
