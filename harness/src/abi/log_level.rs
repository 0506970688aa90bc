//! Log levels.

/// The level of a plugin's log line, as `proxy_log` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Most detailed.
    Trace = 0,
    /// For developers.
    Debug = 1,
    /// Normal operation.
    Info = 2,
    /// Something to look at.
    Warn = 3,
    /// Something failed.
    Error = 4,
    /// The plugin is about to stop working.
    Critical = 5,
}

impl LogLevel {
    pub(crate) fn from_abi(number: u32) -> Option<Self> {
        use LogLevel::*;
        [Trace, Debug, Info, Warn, Error, Critical].into_iter().find(|level| *level as u32 == number)
    }
}
