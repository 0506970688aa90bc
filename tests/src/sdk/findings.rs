//! Cases that are known to be wrong, and why. A case that is right must not stand here.

/// What is known of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The case's session.
    pub session: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

/// All of them.
pub const FINDINGS: &[Finding] = &[];

/// What is known of a session.
#[must_use]
pub fn of(session: &str) -> Option<&'static str> {
    FINDINGS.iter().find(|finding| finding.session == session).map(|finding| finding.what)
}
