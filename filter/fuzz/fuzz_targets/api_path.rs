//! Request paths: the model that is written into a path is the model that is read from it, and nothing else moves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::request::api::{Api, model_of_path, path_matches, path_with_model};

fuzz_target!(|text: &str| {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let _ = (
        Api::of_path(path),
        Api::path_streams(path),
        path_matches("/v1/*", path),
        path_matches(path, "/v1/x"),
    );
    for model in ["large", "vendor/model:1 %2F?é"] {
        match path_with_model(text, model) {
            None => {}
            Some(new) => {
                let (new_path, new_query) =
                    new.split_once('?').map_or((new.as_str(), None), |(path, query)| (path, Some(query)));
                assert_eq!(query, new_query);
                assert_eq!(model_of_path(new_path).as_deref(), Some(model), "{text:?} became {new:?}");
                assert_eq!(Api::of_path(path), Api::of_path(new_path));
            }
        }
    }
});
