//! Request paths: a canonical path is its own canonical form, the model that is written into a path is the model that is
//! read from it, and of a query nothing goes on but what is listed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::request::path::{canonical, covers, forwarded_query, with_model};

const GEMINI: &str = "/v1beta/models/{model}:generateContent";

fuzz_target!(|data: &[u8]| {
    let (path, query) = match data.iter().position(|byte| *byte == b'?') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let kept = forwarded_query(query, &["alt".to_owned(), "beta".to_owned()]);
    for parameter in kept.trim_start_matches('?').split('&').filter(|parameter| !parameter.is_empty()) {
        assert!(parameter.starts_with("alt") || parameter.starts_with("beta"), "{kept}");
    }
    let Some(path) = canonical(path) else { return };
    assert_eq!(canonical(path.as_bytes()).as_deref(), Some(path.as_str()));
    if let Some(model) = covers(GEMINI, &path).and_then(|covered| covered.model) {
        let again = canonical(with_model(GEMINI, Some(model)).as_bytes()).expect("it was canonical before");
        assert_eq!(covers(GEMINI, &again).and_then(|covered| covered.model), Some(model));
    }
});
