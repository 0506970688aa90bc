//! Error numbers of WASI preview 1.

use crate::guest::call::{Fail, OutOfBounds};

/// An error number.
#[derive(Clone, Copy)]
pub(super) enum Errno {
    BadFile = 8,
    NotDirectory = 20,
    Fault = 21,
    Invalid = 28,
    NoEntry = 44,
    NotImplemented = 52,
    NotSupported = 58,
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Fail::Code(errno as u32)
    }
}

/// The failure of a WASI function that was given a bad pointer.
pub(super) fn fault(_: OutOfBounds) -> Fail {
    Errno::Fault.into()
}
