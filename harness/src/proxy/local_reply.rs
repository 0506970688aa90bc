//! Local replies: responses that do not come from an upstream.

use crate::proxy::headers::HeaderMap;

/// The origin of a local reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrigin {
    /// The plugin called `proxy_send_local_response`.
    Plugin,
    /// The host replied: the VM has failed, or a paused body exceeded its limit.
    Host,
}

/// A response that the plugin or the host sent instead of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// The HTTP status.
    pub status: u32,
    /// Response code details, with white space replaced by underscores as Envoy does.
    pub details: String,
    /// The headers that the plugin passed. The client also gets `:status` and the headers of the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The gRPC status that the plugin passed, if any. A gRPC client gets it, or else one derived from the HTTP status.
    pub grpc_status: Option<u32>,
    /// Who replied.
    pub origin: ReplyOrigin,
}

impl LocalResponse {
    /// A reply of the host itself, without body or further headers.
    pub(crate) fn of_host(status: u32, details: &str) -> Self {
        LocalResponse {
            status,
            details: details.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            grpc_status: None,
            origin: ReplyOrigin::Host,
        }
    }

    /// What Envoy sends to the client, apart from `date` and `server`: a gRPC client gets status and text in headers,
    /// and a `HEAD` request gets no body.
    pub(crate) fn for_client(&self, request: Option<&HeaderMap>) -> (HeaderMap, Vec<u8>) {
        let mut map = HeaderMap::new();
        map.add(":status", self.status.to_string());
        for (name, value) in self.headers.iter() {
            map.add(name, value);
        }
        if request.is_some_and(is_grpc) {
            self.add_grpc_form(&mut map);
            return (map, Vec::new());
        }
        if self.body.is_empty() {
            map.remove("content-length");
            map.remove("content-type");
        } else {
            map.set("content-length", self.body.len().to_string());
            if map.get("content-type").is_none() {
                map.add("content-type", "text/plain");
            }
        }
        let head = request.is_some_and(|request| request.get(":method") == Some(b"HEAD"));
        (map, if head { Vec::new() } else { self.body.clone() })
    }

    fn add_grpc_form(&self, map: &mut HeaderMap) {
        map.set(":status", "200");
        map.set("content-type", "application/grpc");
        if map.get("grpc-status").is_none() {
            let status = self.grpc_status.unwrap_or_else(|| grpc_status_of_http(self.status));
            map.add("grpc-status", status.to_string());
        }
        if !self.body.is_empty() && map.get("grpc-message").is_none() {
            map.add("grpc-message", percent_encoded(&self.body));
        }
        map.remove("content-length");
    }
}

/// Whether these are the headers of a gRPC request, by Envoy's rule, which excludes `application/grpc-web`.
fn is_grpc(request: &HeaderMap) -> bool {
    let suffix = request.get("content-type").and_then(|value| value.strip_prefix(b"application/grpc"));
    request.get(":path").is_some() && suffix.is_some_and(|suffix| matches!(suffix, [] | [b'+', ..]))
}

/// The gRPC status for an HTTP status; the source is gRPC's document `http-grpc-status-mapping.md`.
fn grpc_status_of_http(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// A gRPC message as a header value: everything but visible ASCII is percent-encoded, and so are `%` and `~`.
fn percent_encoded(text: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'%' => "%25".to_owned(),
        b' '..b'~' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(headers: HeaderMap, body: &[u8]) -> LocalResponse {
        let mut reply = LocalResponse::of_host(429, "");
        reply.headers = headers;
        reply.body = body.to_vec();
        reply
    }

    #[test]
    fn a_body_gets_its_length_and_a_type_unless_given() {
        let (plain, body) = reply(HeaderMap::new(), b"no").for_client(None);
        let expected = [(":status", "429"), ("content-length", "2"), ("content-type", "text/plain")];
        assert_eq!((plain, body), (HeaderMap::from(&expected), b"no".to_vec()));
        let (json, _) =
            reply(HeaderMap::from(&[("Content-Type", "application/json")]), b"{}").for_client(None);
        assert_eq!(json.get_all("content-type"), [b"application/json"]);
    }

    #[test]
    fn an_empty_body_has_neither_length_nor_type() {
        let (headers, body) = reply(HeaderMap::from(&[("content-type", "text/html")]), b"").for_client(None);
        assert_eq!((headers, body.len()), (HeaderMap::from(&[(":status", "429")]), 0));
    }

    #[test]
    fn a_head_request_gets_the_headers_alone() {
        let request = HeaderMap::from(&[(":method", "HEAD"), (":path", "/")]);
        let (headers, body) = reply(HeaderMap::new(), b"no").for_client(Some(&request));
        assert_eq!((headers.get("content-length"), body.len()), (Some(&b"2"[..]), 0));
    }

    #[test]
    fn a_grpc_client_gets_status_and_text_in_headers() {
        let request = |ty| HeaderMap::from(&[(":path", "/"), ("content-type", ty)]);
        let (headers, body) =
            reply(HeaderMap::new(), b"100% \xc3\xa9~").for_client(Some(&request("application/grpc+proto")));
        let expected = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "100%25 %C3%A9%7E"),
        ];
        assert_eq!((headers, body.len()), (HeaderMap::from(&expected), 0));
        let mut aborted = reply(HeaderMap::new(), b"");
        aborted.grpc_status = Some(10);
        let (headers, _) = aborted.for_client(Some(&request("application/grpc")));
        assert_eq!((headers.get("grpc-status"), headers.get("grpc-message")), (Some(&b"10"[..]), None));
        let (web, _) = reply(HeaderMap::new(), b"no").for_client(Some(&request("application/grpc-web")));
        assert_eq!(web.get(":status"), Some(&b"429"[..]));
    }
}
