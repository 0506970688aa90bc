//! Which call a request makes: one that is counted, one that is free, or one that does not go out.

use crate::config::Config;
use crate::request::api::Api;
use crate::request::headers::Headers;
use crate::request::path;

/// A call that the configuration knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The API that its path belongs to.
    pub api: Api,
    /// The configured path, with `{model}` where it has one.
    pub path: String,
    /// The model that the request's path names, decoded.
    pub model: Option<String>,
    /// The path itself asks for a stream.
    pub streams: bool,
    /// What of the query goes on, with its `?`.
    pub query: String,
    /// Path and query as the client sent them.
    pub sent: Vec<u8>,
}

impl Call {
    /// The path and query for an upstream that serves `model`.
    #[must_use]
    pub fn upstream_path(&self, model: Option<&str>) -> String {
        path::with_model(&self.path, model.or(self.model.as_deref())) + &self.query
    }

    /// The same, where it is not what the client sent.
    #[must_use]
    pub fn new_path(&self, model: Option<&str>) -> Option<String> {
        Some(self.upstream_path(model)).filter(|path| path.as_bytes() != self.sent)
    }
}

/// What the configuration says of a request's method and path.
pub(super) enum Found {
    Counted(Call),
    Free(Call),
    Unknown,
}

/// The configured call that a request makes.
pub(super) fn find_call(config: &Config, headers: &impl Headers) -> Found {
    let whole = headers.get(":path").unwrap_or_default();
    let (path, query) = match whole.iter().position(|byte| *byte == b'?') {
        Some(at) => {
            (whole.get(..at).unwrap_or_default(), whole.get(at.saturating_add(1)..).unwrap_or_default())
        }
        None => (whole, &[][..]),
    };
    let method = headers.get(":method").unwrap_or_default();
    let Some(path) = path::canonical(path) else { return Found::Unknown };
    let call = |configured: &str, slashes: bool| {
        let model = path::covers(configured, &path)?.model;
        let fits = slashes || model.is_none_or(|model| !model.contains('/'));
        fits.then(|| Call {
            api: Api::of_path(configured).unwrap_or_default(),
            path: configured.to_owned(),
            model: model.map(str::to_owned),
            streams: Api::path_streams(configured),
            query: path::forwarded_query(query, &config.forward.query),
            sent: whole.to_vec(),
        })
    };
    if method == b"POST"
        && let Some(counted) = config.paths.iter().find_map(|configured| call(configured, true))
    {
        return Found::Counted(counted);
    }
    let free = config.calls.free.iter().filter_map(|free| free.split_once(' '));
    let mut free =
        free.filter(|(known, _)| known.as_bytes() == method || (method == b"HEAD" && *known == "GET"));
    free.find_map(|(_, configured)| call(configured, false)).map_or(Found::Unknown, Found::Free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example as config;
    use crate::counters::Counts;
    use crate::request::head::{HeadFault, HeadRefusal, HeadVerdict, RequestHead};
    use serde_json::json;

    fn call(config: &Config, method: &str, path: &str) -> HeadVerdict {
        let headers = vec![
            (b":method".to_vec(), method.as_bytes().to_vec()),
            (b":path".to_vec(), path.as_bytes().to_vec()),
        ];
        RequestHead::read(config, &headers, None, &mut Counts::default())
    }

    #[test]
    fn what_is_neither_counted_nor_free_is_refused() {
        let config = config(|_| {});
        let refused = [
            ("GET", "/v1/chat/completions"),
            ("PUT", "/v1/chat/completions"),
            ("OPTIONS", "/v1/chat/completions"),
            ("POST", "/chat/completions"),
            ("POST", "/v1/chat/completions/x"),
            ("POST", "/v1/completions"),
            ("POST", "/v1/embeddings"),
            ("POST", "/api/chat"),
            ("POST", "/v1/messages/batches"),
            ("POST", "/v1/models"),
            ("GET", "/v1/responses/resp_1"),
            ("DELETE", "/v1/models/x"),
            ("GET", "/v1/models/x/y"),
            ("GET", "/v1/files/f/content"),
            ("POST", "/v1//chat/completions"),
            ("POST", "/v1/chat/completions%0a"),
            ("POST", ""),
        ];
        for (method, path) in refused {
            let verdict = call(&config, method, path);
            let expected = HeadRefusal { api: Api::OpenAiChat, fault: HeadFault::UnknownCall };
            assert_eq!(verdict, HeadVerdict::Refuse(expected), "{method} {path}");
        }
        let lenient = crate::config::tests::changed_example(|v| v["calls"] = json!({"others": "pass"}));
        assert_eq!(call(&lenient, "POST", "/v1/embeddings"), HeadVerdict::Bypass);
    }

    #[test]
    fn a_call_in_any_spelling_is_counted_and_goes_out_in_ours() {
        let config = config(|_| {});
        let cases = [
            ("/V1/Chat/completions/", "/v1/chat/completions"),
            ("/v1%2Fchat%2fcompletions?key=secret&x=1", "/v1/chat/completions"),
            ("/v1/responses?api-version=1", "/v1/responses?api-version=1"),
            (
                "/v1beta/models/a%2Fb:generateContent?alt=sse",
                "/v1beta/models/new%2Fone:generateContent?alt=sse",
            ),
            ("/v1beta/models/a%3AgenerateContent", "/v1beta/models/new%2Fone:generateContent"),
            ("/model/a.b-v1%3A0/CONVERSE", "/model/new%2Fone/converse"),
        ];
        for (path, upstream) in cases {
            let HeadVerdict::Llm(head) = call(&config, "POST", path) else { panic!("{path}") };
            assert_eq!(head.call.upstream_path(Some("new/one")), upstream, "{path}");
        }
    }

    #[test]
    fn a_free_call_passes_with_its_own_model() {
        let config = config(|_| {});
        for (method, path) in
            [("GET", "/v1/models"), ("HEAD", "/V1/models/"), ("POST", "/v1/messages/count_tokens?beta=true")]
        {
            assert!(matches!(call(&config, method, path), HeadVerdict::Free(_)), "{method} {path}");
        }
        let HeadVerdict::Free(found) = call(&config, "GET", "/v1/models/gpt%2D5?key=1") else { panic!() };
        assert_eq!(found.upstream_path(None), "/v1/models/gpt-5");
    }
}
