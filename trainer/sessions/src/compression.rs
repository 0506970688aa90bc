//! Compression by file name: gzip (`.gz`) and zstd (`.zst`), read and written as streams.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Level of zstd: its default.
const ZSTD_LEVEL: i32 = 3;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Uncompressed.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Compression {
    /// By the extension of a file name.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("zst") => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Decompresses a source.
    ///
    /// # Errors
    /// The decoder cannot be created.
    pub fn reader(self, source: impl Read + 'static) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Compression::None => Box::new(source),
            Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
            Compression::Zstd => Box::new(zstd::Decoder::new(source)?),
        })
    }

    /// Compresses what `write` writes; the output depends on that alone.
    ///
    /// # Errors
    /// An error of `write` or of the target.
    pub fn write(
        self,
        mut target: &mut dyn Write,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Compression::None => write(target),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(target, flate2::Compression::default());
                write(&mut encoder)?;
                encoder.finish().map(drop)
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(&mut target, ZSTD_LEVEL)?;
                write(&mut encoder)?;
                encoder.finish().map(drop)
            }
        }
    }
}
