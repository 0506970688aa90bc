//! Keys made for these tests alone, with `openssl genpkey`.

use base64::Engine;

/// Names, private keys and public keys.
pub const PAIRS: [(&str, &str, &str); 6] = [
    ("rsa", include_str!("keys/rsa.pem"), include_str!("keys/rsa.pub.pem")),
    ("p256", include_str!("keys/p256.pem"), include_str!("keys/p256.pub.pem")),
    ("p384", include_str!("keys/p384.pem"), include_str!("keys/p384.pub.pem")),
    ("p521", include_str!("keys/p521.pem"), include_str!("keys/p521.pub.pem")),
    ("ed25519", include_str!("keys/ed25519.pem"), include_str!("keys/ed25519.pub.pem")),
    ("secp256k1", include_str!("keys/secp256k1.pem"), include_str!("keys/secp256k1.pub.pem")),
];

/// The older forms of private keys.
pub const OTHERS: [(&str, &str); 2] =
    [("rsa", include_str!("keys/rsa.traditional.pem")), ("p256", include_str!("keys/p256.traditional.pem"))];

/// The bytes of a key in PEM.
pub fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
