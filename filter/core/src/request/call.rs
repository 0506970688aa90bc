//! Which call a request makes: one that is counted, one that is free, or one that does not go out.

use crate::config::Config;
use crate::request::api::Api;
use crate::request::headers::Headers;
use crate::request::path;
use crate::request::refused::why_refused;

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
    /// It makes a shorter history of a long one ([`Api::compacts`]).
    pub compacts: bool,
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
    /// Neither: the API whose shape a refusal has, and why it is one.
    Unknown {
        api: Api,
        reason: &'static str,
    },
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
    let unknown = || Found::Unknown { api: Api::resembling(whole), reason: why_refused(whole) };
    let Some(path) = path::canonical(path) else { return unknown() };
    let call = |configured: &str, slashes: bool| {
        let model = path::covers(configured, &path)?.model;
        let fits = slashes || model.is_none_or(|model| !model.contains('/'));
        fits.then(|| Call {
            api: Api::of_path(configured).unwrap_or_default(),
            path: configured.to_owned(),
            model: model.map(str::to_owned),
            streams: Api::path_streams(configured),
            compacts: Api::compacts(configured),
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
    free.find_map(|(_, configured)| call(configured, false)).map_or_else(unknown, Found::Free)
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
            ("POST", "/v9/chat/completions"),
            ("POST", "/v1/chat/completions/x"),
            ("POST", "/v1/completions"),
            ("POST", "/v1/embeddings"),
            ("POST", "/api/chat"),
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
            let reason = why_refused(path.as_bytes());
            let expected = HeadRefusal { api: Api::OpenAiChat, fault: HeadFault::UnknownCall { reason } };
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

    /// The rows of the table of calls in `filter/README.md`: what is said of them, and the method and path of each.
    fn table_of_calls() -> Vec<(&'static str, &'static str, String)> {
        let readme = include_str!("../../../README.md");
        let (_, table) = readme.split_once("## Calls\n").unwrap();
        let rows = table
            .split("\n## ")
            .next()
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("| ") && line.contains('`'));
        let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        rows.flat_map(|cells| {
            let calls: Vec<_> =
                cells[2].split(", ").map(|call| call.trim_matches('`').split_once(' ').unwrap()).collect();
            calls.into_iter().map(move |(method, path)| {
                (cells[3].split(':').next().unwrap(), method, path.replace("{model}", "some.model"))
            })
        })
        .collect()
    }

    #[test]
    fn every_row_of_the_table_of_calls_is_what_happens() {
        let config = config(|_| {});
        let rows = table_of_calls();
        assert!(rows.len() > 60, "{}", rows.len());
        for (kind, method, path) in rows {
            let found = match call(&config, method, &path) {
                HeadVerdict::Llm(_) => "counted",
                HeadVerdict::Free(_) => "free",
                HeadVerdict::Refuse(_) => "refused",
                HeadVerdict::Bypass => "passed",
            };
            assert_eq!(found, kind, "{method} {path}");
        }
    }

    #[test]
    fn every_default_call_stands_in_the_table_of_calls() {
        let config = config(|_| {});
        let rows = table_of_calls();
        let counted = config.paths.iter().map(|path| ("counted", format!("POST {path}")));
        for (kind, call) in counted.chain(config.calls.free.iter().map(|call| ("free", call.clone()))) {
            let call = call.replace("{model}", "some.model");
            let is_there = |(said, method, path): &(&str, &str, String)| {
                *said == kind && format!("{method} {path}") == call
            };
            assert!(rows.iter().any(is_there), "{kind} {call}");
        }
    }

    #[test]
    fn a_refusal_has_the_shape_of_the_api_that_was_called() {
        let config = config(|_| {});
        for (path, expected) in [
            ("/v1/messages/batches", Api::AnthropicMessages),
            ("/v1beta/models/g:embedContent", Api::GeminiGenerate),
            ("/model/m/invoke", Api::BedrockConverse),
            ("/v1/embeddings", Api::OpenAiChat),
        ] {
            let HeadVerdict::Refuse(refusal) = call(&config, "POST", path) else { panic!("{path}") };
            assert_eq!(refusal.api, expected, "{path}");
        }
    }

    #[test]
    fn a_deployment_in_the_path_is_the_model() {
        let config = config(|_| {});
        let path = "/openai/deployments/large/chat/completions?api-version=2024-10-21";
        let HeadVerdict::Llm(head) = call(&config, "POST", path) else { panic!() };
        assert_eq!((head.call.api, head.call.model.as_deref()), (Api::OpenAiChat, Some("large")));
        let upstream = "/openai/deployments/small/chat/completions?api-version=2024-10-21";
        assert_eq!(head.call.upstream_path(Some("small")), upstream);
        let HeadVerdict::Llm(head) = call(&config, "POST", "/v1/responses/compact") else { panic!() };
        assert_eq!((head.call.api, head.call.compacts), (Api::OpenAiResponses, true));
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
