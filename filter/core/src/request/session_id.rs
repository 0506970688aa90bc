//! Session identity: what the client sent, hashed before anything keeps it.
//!
//! Raw ids never reach a log, a metric, shared data or an upstream. The hash is the first 128 bits of
//! SHA-256 over salt, tenant and id, each preceded by its length, so that no two different triples collide by
//! concatenation. The salt keeps a reader of the decision records from testing guessed ids.

use sha2::{Digest, Sha256};
use std::fmt;

/// Longest raw id that is read; a longer one is treated as no id (peers limit ids to 255 characters).
pub const MAX_RAW_ID_BYTES: usize = 255;

/// A salted 128-bit hash that identifies one session of one tenant, or a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Hashes the raw id of a tenant's session. `tenant` is empty where the gateway serves only one.
    #[must_use]
    pub fn new(salt: &[u8], tenant: &[u8], raw_id: &[u8]) -> SessionId {
        let mut hash = Sha256::new();
        for part in [salt, tenant, raw_id] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut id = [0u8; 16];
        id.iter_mut().zip(hash.finalize().iter()).for_each(|(to, from)| *to = *from);
        SessionId(id)
    }

    /// The table bucket of this session among `buckets`.
    #[must_use]
    pub fn bucket(&self, buckets: u32) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_le_bytes([a, b, c, d]).checked_rem(buckets).unwrap_or(0)
    }

    /// A number in 0 … 1 that is the same for all turns of the session and independent of its bucket.
    #[must_use]
    pub fn unit_interval(&self) -> f64 {
        let [.., a, b, c, d] = self.0;
        f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Display for SessionId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not `{byte:02x}`: it is written for every turn, and to format sixteen numbers takes longer than to hash the
        // id.
        let digit = |half: u8| b"0123456789abcdef".get(usize::from(half)).copied().unwrap_or_default();
        let digits = self.0.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        f.write_str(std::str::from_utf8(digits.as_flattened()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salt_tenant_and_id_each_change_the_hash() {
        let base = SessionId::new(b"salt", b"team-a", b"chat-1");
        assert_eq!(base, SessionId::new(b"salt", b"team-a", b"chat-1"));
        assert_ne!(base, SessionId::new(b"pepper", b"team-a", b"chat-1"));
        assert_ne!(base, SessionId::new(b"salt", b"team-b", b"chat-1"));
        assert_ne!(base, SessionId::new(b"salt", b"team-a", b"chat-2"));
    }

    #[test]
    fn an_id_is_written_as_32_digits() {
        let id = SessionId(std::array::from_fn(|k| 17 * k as u8));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
    }

    #[test]
    fn moving_bytes_between_tenant_and_id_changes_the_hash() {
        assert_ne!(SessionId::new(b"s", b"ab", b"c"), SessionId::new(b"s", b"a", b"bc"));
    }
}
