//! What is wrong with a configuration: every fault, not only the first.

use std::borrow::Cow;
use std::fmt::{self, Display};

use crate::one_line::OneLine;

/// Faults that are collected.
const MAX_FAULTS: usize = 100;
/// Faults that an error spells out; of further ones it gives the number.
const MAX_SHOWN: usize = 20;

/// One value that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path of the field, such as `models[0].name`.
    pub field: String,
    /// The value, or what is wrong with its shape.
    pub found: String,
    /// The values that are accepted.
    pub expected: Cow<'static, str>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a JSON object that could be a configuration.
    #[error("plugin configuration: {}", OneLine(.0))]
    Syntax(String),
    /// Fields that have unacceptable values; at least one.
    #[error("plugin configuration, {}", List(.0))]
    Fields(Vec<Fault>),
}

impl ConfigError {
    /// The faulty fields; empty for a text that could not be parsed.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match self {
            ConfigError::Syntax(_) => &[],
            ConfigError::Fields(faults) => faults,
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, found, expected) = (OneLine(&self.field), OneLine(&self.found), OneLine(&self.expected));
        write!(f, "field `{field}`: found {found}, expected {expected}")
    }
}

/// Faults in one line.
struct List<'a>(&'a [Fault]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, fault) in self.0.iter().take(MAX_SHOWN).enumerate() {
            write!(f, "{}{fault}", if k > 0 { "; " } else { "" })?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Collects faults while a configuration is checked.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub(super) fn add(
        &mut self,
        field: impl Display,
        found: impl Display,
        expected: impl Into<Cow<'static, str>>,
    ) {
        let fault = Fault { field: field.to_string(), found: found.to_string(), expected: expected.into() };
        // A value that could not be read was replaced by another one, whose faults are not the operator's.
        if self.0.len() < MAX_FAULTS && !self.0.iter().any(|known| known.field == fault.field) {
            self.0.push(fault);
        }
    }

    /// Adds a fault of a field whose value is `found`, unless `ok`.
    pub(super) fn require(
        &mut self,
        ok: bool,
        field: impl Display,
        found: impl Display,
        expected: &'static str,
    ) {
        if !ok {
            self.add(field, format_args!("`{found}`"), expected);
        }
    }

    /// Adds a fault of a field that is missing, unless `ok`.
    pub(super) fn require_present(&mut self, ok: bool, field: impl Display, expected: &'static str) {
        if !ok {
            self.add(field, "nothing", expected);
        }
    }

    /// Requires the name of a header in lower case.
    pub(super) fn require_header(&mut self, name: &str, field: impl Display) {
        let lower = is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        self.require(lower, field, name, "the name of a header in lower case");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The error, if there is any fault.
    pub(super) fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError::Fields(self.0)) }
    }
}

/// Whether a text can name a header or a cookie.
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
