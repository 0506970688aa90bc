//! The versions of the ABI that Envoy supports.

/// The ABI version a module declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.2.1
    V0_2_1,
}
