//! Signatures as `sign` and `verify_signature` make and check them: RSA with PKCS#1 v1.5 padding, and ECDSA on P-256,
//! P-384 and P-521, over five hash functions.
//!
//! What is refused, and in which words, is Envoy's (its `source/common/crypto/utility_impl.cc`), whose library is
//! BoringSSL. Signatures of RSA are the same bytes as there; those of ECDSA are made with the nonce of RFC 6979, so the
//! same message has the same signature in every run.

use crate::keys::{EcPrivate, EcPublic, PrivateKey, PublicKey};
use crate::rsa;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The function of a name, in whatever case.
    fn named(name: &str) -> Result<Hash, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "sha1" => Hash::Sha1,
            "sha224" => Hash::Sha224,
            "sha256" => Hash::Sha256,
            "sha384" => Hash::Sha384,
            "sha512" => Hash::Sha512,
            _ => return Err(format!("{name} is not supported.")),
        })
    }

    fn of(self, text: &[u8]) -> Vec<u8> {
        use sha2::Digest;
        match self {
            Hash::Sha1 => sha1::Sha1::digest(text).to_vec(),
            Hash::Sha224 => sha2::Sha224::digest(text).to_vec(),
            Hash::Sha256 => sha2::Sha256::digest(text).to_vec(),
            Hash::Sha384 => sha2::Sha384::digest(text).to_vec(),
            Hash::Sha512 => sha2::Sha512::digest(text).to_vec(),
        }
    }
}

/// Checks a signature; Envoy's words when it is none.
pub(crate) fn verify(hash: &str, key: &PublicKey, signature: &[u8], text: &[u8]) -> Result<(), String> {
    let hash = Hash::named(hash)?;
    let digest = hash.of(text);
    let good = match key {
        PublicKey::Rsa(key) => rsa::verify(key, hash, &digest, signature),
        PublicKey::Ec(key) => verify_ec(key, &digest, signature),
        PublicKey::WithoutHash | PublicKey::Unreadable => {
            return Err("Failed to initialize digest verify.".to_owned());
        }
    };
    if good { Ok(()) } else { Err("Failed to verify digest. Error code: 0".to_owned()) }
}

/// Signs a text; Envoy's words when that cannot be done.
pub(crate) fn sign(hash: &str, key: &PrivateKey, text: &[u8]) -> Result<Vec<u8>, String> {
    let hash = Hash::named(hash)?;
    let digest = hash.of(text);
    let made = match key {
        PrivateKey::Rsa(key) => rsa::sign(key, hash, &digest),
        PrivateKey::Ec(key) => sign_ec(key, &digest),
        PrivateKey::WithoutHash => {
            return Err("Invalid private key: key data is corrupted or malformed.".to_owned());
        }
        PrivateKey::Unreadable => {
            return Err("Invalid key type: private key required for signing operation.".to_owned());
        }
    };
    made.ok_or_else(|| "Failed to get signature length.".to_owned())
}

/// A digest that is shorter than the numbers of the curve stands for the same number with zeros before it.
fn padded<const N: usize>(digest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; N.saturating_sub(digest.len())];
    bytes.extend_from_slice(digest);
    bytes
}

fn verify_ec(key: &EcPublic, digest: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    macro_rules! check {
        ($curve:ident, $len:literal, $key:expr) => {
            $curve::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| $key.verify_prehash(&padded::<$len>(digest), &signature).is_ok())
        };
    }
    match key {
        EcPublic::P256(key) => check!(p256, 32, key),
        EcPublic::P384(key) => check!(p384, 48, key),
        EcPublic::P521(key) => check!(p521, 66, key),
    }
}

fn sign_ec(key: &EcPrivate, digest: &[u8]) -> Option<Vec<u8>> {
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    macro_rules! make {
        ($curve:ident, $len:literal, $key:expr) => {{
            let signature: $curve::ecdsa::Signature = $key.sign_prehash(&padded::<$len>(digest)).ok()?;
            signature.to_der().as_bytes().to_vec()
        }};
    }
    Some(match key {
        EcPrivate::P256(key) => make!(p256, 32, key),
        EcPrivate::P384(key) => make!(p384, 48, key),
        EcPrivate::P521(key) => make!(p521, 66, key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    const PRIVATE: &str = include_str!("../tests/in_envoy/keys/rsa.pem");
    const PUBLIC: &str = include_str!("../tests/in_envoy/keys/rsa.pub.pem");
    const OTHER: &str = include_str!("../tests/in_envoy/keys/p256.pub.pem");

    /// SHA-256 of `printf text | openssl dgst -HASH -sign rsa.pem` (OpenSSL 3.0).
    const KNOWN: [(&str, &str); 5] = [
        ("sha1", "0703a4c370027c0c055c5418fe8f5f4664f8a2d9f5934b3c544e4f87c39dd58e"),
        ("sha224", "88853f381c8e99b53cb6eb23316f74fe52c90fcc5612f29d6d0392270ba7afa7"),
        ("sha256", "5955ea00c23d0dec22b9f9519c57d7b8102a829a44ccc765432633310a22ac0c"),
        ("sha384", "40a39cbb8f43ad9b558408611063fa5172ad73de795e88ac9fc9268c977f7277"),
        ("sha512", "46823da2522961638aeb5e41caa5e05e61a10a462bd5f4f5200ec581cb4f34c4"),
    ];

    #[test]
    fn rsa_signatures_are_those_of_openssl_and_only_they_are_good() {
        let (private, public) = (PrivateKey::from_pem(PRIVATE), PublicKey::from_pem(PUBLIC));
        for (hash, known) in KNOWN {
            let signature = sign(hash, &private, b"text").unwrap();
            let found: String =
                sha2::Sha256::digest(&signature).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, known, "{hash}");
            assert_eq!(verify(hash, &public, &signature, b"text"), Ok(()));
            let mut changed = signature.clone();
            changed[7] ^= 1;
            let past_the_modulus = vec![0xff; signature.len()];
            let longer = [&[0], signature.as_slice()].concat();
            for bad in [changed.as_slice(), &past_the_modulus, &longer, &signature[1..], b""] {
                assert!(verify(hash, &public, bad, b"text").is_err(), "{hash}");
            }
            assert!(verify(hash, &public, &signature, b"another").is_err());
            assert!(verify(hash, &PublicKey::from_pem(OTHER), &signature, b"text").is_err());
        }
    }
}
