//! Text features of a message: any cut gives the same ones, and their recorded form is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::body::text::{TextFeatures, TextHasher};
use seqroute_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (mut whole, mut cut) = (TextHasher::default(), TextHasher::default());
    whole.feed(input.text);
    input.pieces().into_iter().for_each(|piece| cut.feed(piece));
    assert_eq!(whole.finish(), cut.finish());
    let features = whole.finish();
    match features.to_base64() {
        Some(base64) => assert_eq!(TextFeatures::from_base64(&base64), Some(features)),
        None => assert!(features.is_empty()),
    }
    // A log may contain anything.
    if let Ok(text) = std::str::from_utf8(input.text) {
        let _ = TextFeatures::from_base64(text);
    }
});
