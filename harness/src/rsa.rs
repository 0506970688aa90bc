//! RSA signatures with PKCS#1 v1.5 padding (RFC 8017, 8.2).
//!
//! Of the crates for it, `rsa` has an open advisory (RUSTSEC-2023-0071) and `ring` lacks hash functions or key sizes
//! that Envoy has, so the three steps are here: the arithmetic is crate `crypto-bigint`'s.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use crate::signatures::Hash;

/// A modulus and an exponent: a public key with the one that checks, a private key with the one that signs.
#[derive(Clone, Debug)]
pub(crate) struct RsaKey {
    modulus: Odd<BoxedUint>,
    exponent: BoxedUint,
}

impl RsaKey {
    /// Takes the numbers as big-endian bytes; nothing when the modulus is even.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = Option::from(Odd::new(BoxedUint::from_be_slice_vartime(modulus)))?;
        Some(RsaKey { modulus, exponent: BoxedUint::from_be_slice_vartime(exponent) })
    }

    /// Length of the modulus.
    pub(crate) fn bits(&self) -> u32 {
        self.modulus.as_ref().bit_width_vartime()
    }

    fn len(&self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// Raises a number to the exponent; nothing when it is not below the modulus.
    fn power(&self, number: &[u8]) -> Option<Vec<u8>> {
        let precision = self.modulus.as_ref().bits_precision();
        let number = BoxedUint::from_be_slice(number, precision).ok()?;
        if number >= *self.modulus.as_ref() {
            return None;
        }
        let ring = BoxedMontyParams::new_vartime(self.modulus.clone());
        let power = BoxedMontyForm::new(number, &ring).pow(&self.exponent).retrieve().to_be_bytes();
        Some(power[power.len() - self.len()..].to_vec())
    }
}

/// What stands before the digest (RFC 8017, note 1 of 9.2).
fn prefix(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha1 => b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
        Hash::Sha224 => b"\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c",
        Hash::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        Hash::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        Hash::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    }
}

/// The padded digest; nothing when the key is too short for it.
fn encoded(hash: Hash, digest: &[u8], len: usize) -> Option<Vec<u8>> {
    let prefix = prefix(hash);
    let filler = len.checked_sub(prefix.len() + digest.len() + 3).filter(|filler| *filler >= 8)?;
    Some([&[0, 1], vec![0xff; filler].as_slice(), &[0], prefix, digest].concat())
}

pub(crate) fn verify(key: &RsaKey, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
    let expected = encoded(hash, digest, key.len());
    signature.len() == key.len() && expected.is_some() && key.power(signature) == expected
}

pub(crate) fn sign(key: &RsaKey, hash: Hash, digest: &[u8]) -> Option<Vec<u8>> {
    key.power(&encoded(hash, digest, key.len())?)
}
