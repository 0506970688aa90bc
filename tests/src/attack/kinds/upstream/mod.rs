//! A model server that lies about usage, or breaks.

mod faults;
mod usage_lies;

use super::Kind;

pub const KINDS: &[Kind] = &[
    usage_lies::ABSURD,
    usage_lies::NEGATIVE,
    usage_lies::ZERO,
    usage_lies::MISSING,
    usage_lies::LATE,
    usage_lies::REPEATED,
    usage_lies::STRINGS,
    usage_lies::IN_TEXT,
    faults::RESET,
    faults::STALL,
    faults::OTHER_TYPE,
    faults::NO_TYPE,
    faults::STATUS_206,
    faults::STATUS_500,
];
