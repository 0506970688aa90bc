//! Answers that do not come from an upstream.

use crate::headers::HeaderMap;

/// Who made a local reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrigin {
    /// The plugin called `proxy_send_local_response`.
    Plugin,
    /// The host answered: the VM has failed, or a paused body grew past its limit.
    Host,
}

/// A local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// HTTP status.
    pub status: u32,
    /// Response code details, with white space replaced by underscores as Envoy does.
    pub details: String,
    /// The headers the plugin added. What the client got also has `:status` and headers of the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// gRPC status if one was given.
    pub grpc_status: Option<u32>,
    /// Who made it.
    pub origin: ReplyOrigin,
}

impl LocalResponse {
    /// The reply of the host itself: no body, no further headers.
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

    /// The response headers Envoy builds from the reply, before its own `date` and `server`.
    pub(crate) fn response_headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.add(":status", self.status.to_string());
        for (name, value) in self.headers.iter() {
            map.add(name, value);
        }
        if self.body.is_empty() {
            map.remove("content-length");
        } else {
            map.set("content-length", self.body.len().to_string());
            if map.get("content-type").is_none() {
                map.add("content-type", "text/plain");
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(headers: HeaderMap, body: &[u8]) -> HeaderMap {
        let mut reply = LocalResponse::of_host(429, "");
        reply.headers = headers;
        reply.body = body.to_vec();
        reply.response_headers()
    }

    #[test]
    fn a_body_gets_its_length_and_a_type_unless_given() {
        let plain = reply(HeaderMap::new(), b"no");
        let expected = [(":status", "429"), ("content-length", "2"), ("content-type", "text/plain")];
        assert_eq!(plain, HeaderMap::from(&expected));
        let json = reply(HeaderMap::from(&[("Content-Type", "application/json")]), b"{}");
        assert_eq!(json.get_all("content-type"), [b"application/json"]);
    }

    #[test]
    fn an_empty_body_has_no_length() {
        assert_eq!(reply(HeaderMap::new(), b""), HeaderMap::from(&[(":status", "429")]));
    }
}
