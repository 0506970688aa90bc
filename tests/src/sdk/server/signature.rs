//! Marks by which a provider knows its own thinking again.
//!
//! A signature is bound to the model that made it and to the text that it signs: what a provider refuses of another model's,
//! and of changed thinking, these servers refuse too (platform.claude.com/docs/en/build-with-claude/extended-thinking).

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::cache::hash_of;

/// Signs thinking.
#[must_use]
pub fn sign(model: &str, text: &str) -> String {
    BASE64_STANDARD.encode(plain(model, text))
}

fn plain(model: &str, text: &str) -> String {
    format!("signed by {model}: {:016x}", hash_of(&format!("secret of {model}, {text}")))
}

/// Whether a signature is this model's, for this text. Either alphabet of base64 is read.
#[must_use]
pub fn holds(model: &str, text: &str, signature: &str) -> bool {
    opened(signature).is_some_and(|bytes| bytes == plain(model, text).as_bytes())
}

/// Hides reasoning so that only this model can read it.
#[must_use]
pub fn seal(model: &str, text: &str) -> String {
    BASE64_STANDARD.encode(format!("{}\n{text}", plain(model, text)))
}

/// The reasoning that this model has hidden.
#[must_use]
pub fn unseal(model: &str, sealed: &str) -> Option<String> {
    let bytes = opened(sealed)?;
    let text = String::from_utf8(bytes).ok()?;
    let (mark, text) = text.split_once('\n')?;
    (mark == plain(model, text)).then(|| text.to_owned())
}

fn opened(base64: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(base64).or_else(|_| BASE64_URL_SAFE.decode(base64)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_model_and_its_text_only() {
        let signature = sign("a", "thought");
        assert!(holds("a", "thought", &signature));
        assert!(!holds("b", "thought", &signature) && !holds("a", "other", &signature));
        let sealed = seal("a", "thought");
        assert_eq!(unseal("a", &sealed).as_deref(), Some("thought"));
        assert_eq!(unseal("b", &sealed), None);
    }
}
