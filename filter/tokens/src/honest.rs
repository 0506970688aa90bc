//! Samples of honest text, written for this purpose.

/// Name and text of each sample.
pub fn texts() -> Vec<(&'static str, &'static str)> {
    macro_rules! samples {
        ($($name:literal),+) => { vec![$(($name, include_str!(concat!("../samples/", $name, ".txt")))),+] };
    }
    samples![
        "english", "german", "french", "russian", "arabic", "hindi", "chinese", "japanese", "korean",
        "python", "json", "numbers", "base64", "emoji"
    ]
}
