//! Compressed files by their names: gzip (`.gz`) and zstd (`.zst`), read and written as streams.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Level of zstd: its default.
const ZSTD_LEVEL: i32 = 3;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Compression {
    /// What a file's name says.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("zst") => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Reads what a compressed source holds.
    ///
    /// # Errors
    /// The decoder cannot be made.
    pub fn reader(self, source: impl Read + 'static) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Compression::None => Box::new(source),
            Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
            Compression::Zstd => Box::new(zstd::Decoder::new(source)?),
        })
    }

    /// Compresses what `write` writes. The bytes depend on nothing else.
    ///
    /// # Errors
    /// Whatever `write` or the target says.
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
