//! Keys as Envoy takes them: SubjectPublicKeyInfo or PKCS#8, as DER or as PEM; private ones also in the older forms of
//! PEM that OpenSSL writes.

use p256::pkcs8::der::asn1::ObjectIdentifier;
use p256::pkcs8::der::{Decode, SliceReader, pem};
use p256::pkcs8::{AssociatedOid, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use pkcs1::{RsaPrivateKey, RsaPublicKey, UintRef};

use crate::rsa::RsaKey;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Fewest bits of an RSA key that BoringSSL takes, and most.
const RSA_BITS: std::ops::RangeInclusive<u32> = 512..=16384;
/// The public exponents it takes, if they are odd.
const PUBLIC_EXPONENTS: std::ops::RangeInclusive<u64> = 3..=(1 << 33) - 1;

/// A key that checks signatures.
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    Rsa(RsaKey),
    Ec(EcPublic),
    /// A key whose signatures take no hash function: Ed25519.
    WithoutHash,
    /// No key, or one of a kind that is not known.
    Unreadable,
}

/// A key that makes signatures.
#[derive(Clone, Debug)]
pub(crate) enum PrivateKey {
    Rsa(RsaKey),
    Ec(EcPrivate),
    /// A key whose signatures take no hash function: Ed25519.
    WithoutHash,
    /// No key, or one of a kind that is not known.
    Unreadable,
}

/// A point on a curve.
#[derive(Clone, Debug)]
pub(crate) enum EcPublic {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

/// A number that makes such a point.
#[derive(Clone, Debug)]
pub(crate) enum EcPrivate {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

impl PublicKey {
    /// Reads DER.
    pub(crate) fn from_der(der: &[u8]) -> Self {
        Self::of_der(der).unwrap_or(Self::Unreadable)
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let info: SubjectPublicKeyInfoRef<'_> = decoded(der)?;
        let bytes = info.subject_public_key.as_bytes()?;
        match info.algorithm.oid {
            RSA => {
                let RsaPublicKey::<UintRef<'_>> { modulus, public_exponent } = decoded(bytes)?;
                usable(&modulus, &public_exponent, &public_exponent).map(PublicKey::Rsa)
            }
            EC => EcPublic::on_curve(info.algorithm.parameters_oid().ok()?, bytes).map(PublicKey::Ec),
            ED25519 => Some(PublicKey::WithoutHash),
            _ => None,
        }
    }

    /// Reads PEM.
    pub(crate) fn from_pem(text: &str) -> Self {
        Self::of_pem(text).unwrap_or(Self::Unreadable)
    }

    fn of_pem(text: &str) -> Option<Self> {
        let (_, der) = blocks(text).find(|(label, _)| label == "PUBLIC KEY")?;
        PublicKey::of_der(&der)
    }
}

impl PrivateKey {
    /// Reads DER.
    pub(crate) fn from_der(der: &[u8]) -> Self {
        Self::of_der(der).unwrap_or(Self::Unreadable)
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let info: PrivateKeyInfoRef<'_> = decoded(der)?;
        let bytes = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA => PrivateKey::rsa(bytes),
            EC => EcPrivate::on_curve(info.algorithm.parameters_oid().ok(), bytes).map(PrivateKey::Ec),
            ED25519 => Some(PrivateKey::WithoutHash),
            _ => None,
        }
    }

    /// Reads PEM.
    pub(crate) fn from_pem(text: &str) -> Self {
        Self::of_pem(text).unwrap_or(Self::Unreadable)
    }

    fn of_pem(text: &str) -> Option<Self> {
        blocks(text).find_map(|(label, der)| match label.as_str() {
            "PRIVATE KEY" => PrivateKey::of_der(&der),
            "RSA PRIVATE KEY" => PrivateKey::rsa(&der),
            "EC PRIVATE KEY" => EcPrivate::on_curve(None, &der).map(PrivateKey::Ec),
            _ => None,
        })
    }

    fn rsa(der: &[u8]) -> Option<Self> {
        let key: RsaPrivateKey<UintRef<'_>> = decoded(der)?;
        usable(&key.modulus, &key.public_exponent, &key.private_exponent).map(PrivateKey::Rsa)
    }
}

impl EcPublic {
    fn on_curve(curve: ObjectIdentifier, point: &[u8]) -> Option<Self> {
        match curve {
            p256::NistP256::OID => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(EcPublic::P256),
            p384::NistP384::OID => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(EcPublic::P384),
            p521::NistP521::OID => p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(EcPublic::P521),
            _ => None,
        }
    }
}

impl EcPrivate {
    /// Reads an `ECPrivateKey`; the curve is the one named outside or inside.
    fn on_curve(curve: Option<ObjectIdentifier>, der: &[u8]) -> Option<Self> {
        let key: sec1::EcPrivateKey<'_> = decoded(der)?;
        let inside = key.parameters.and_then(sec1::EcParameters::named_curve);
        let number = key.private_key;
        match curve.or(inside)? {
            p256::NistP256::OID => p256::ecdsa::SigningKey::from_slice(number).ok().map(EcPrivate::P256),
            p384::NistP384::OID => p384::ecdsa::SigningKey::from_slice(number).ok().map(EcPrivate::P384),
            p521::NistP521::OID => p521::ecdsa::SigningKey::from_slice(number).ok().map(EcPrivate::P521),
            _ => None,
        }
    }
}

/// The blocks of a PEM text with their labels; what stands between them is not looked at.
fn blocks(text: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    text.match_indices("-----BEGIN ").filter_map(|(begin, _)| {
        let block = &text[begin..];
        let end = block.find("-----END ")?;
        let len = end + block[end..].find('\n').unwrap_or(block.len() - end);
        let (label, der) = pem::decode_vec(block[..len].trim_end().as_bytes()).ok()?;
        Some((label.to_owned(), der))
    })
}

/// Reads one value; what comes after it is not looked at.
fn decoded<'a, T: Decode<'a>>(der: &'a [u8]) -> Option<T> {
    T::decode(&mut SliceReader::new(der).ok()?).ok()
}

/// The key with this exponent, if BoringSSL takes a key with this modulus and this public exponent.
fn usable(modulus: &UintRef<'_>, public: &UintRef<'_>, exponent: &UintRef<'_>) -> Option<RsaKey> {
    // A longer private exponent is no key, and raising to it would take minutes.
    if public.as_bytes().len() > size_of::<u64>() || exponent.as_bytes().len() > modulus.as_bytes().len() {
        return None;
    }
    let key = RsaKey::new(modulus.as_bytes(), exponent.as_bytes())?;
    let public = public.as_bytes().iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (RSA_BITS.contains(&key.bits()) && public % 2 == 1 && PUBLIC_EXPONENTS.contains(&public)).then_some(key)
}
