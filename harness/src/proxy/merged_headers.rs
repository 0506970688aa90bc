//! Headers of which Envoy keeps one entry: a second value is appended to the first after a comma.
//!
//! Envoy does so for the headers that have an inline slot in its header map, and for those its extensions register.
//! The lists were measured in Envoy 1.40 by adding each header twice (`tests/in_envoy/probes/fields.rs`);
//! pseudo-headers and `connection` are from its `header_map.h`. All others keep every value as an entry.

use crate::proxy::headers::HeaderMap;
use crate::proxy::http_stream::{Direction, StreamMap};

const BOTH: [&str; 13] = [
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-request-id",
];

const REQUEST: [&str; 46] = [
    ":authority",
    ":method",
    ":path",
    ":protocol",
    ":scheme",
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-none-match",
    "origin",
    "pragma",
    "referer",
    "te",
    "user-agent",
    "x-client-trace-id",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

const RESPONSE: [&str; 24] = [
    ":status",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "proxy-status",
    "server",
    "vary",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
];

fn is_joined(map: StreamMap, name: &[u8]) -> bool {
    let among = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    match map {
        StreamMap::Headers(Direction::Request) => among(&BOTH) || among(&REQUEST),
        StreamMap::Headers(Direction::Response) => among(&BOTH) || among(&RESPONSE),
        StreamMap::Trailers(Direction::Request) => false,
        StreamMap::Trailers(Direction::Response) => among(&["grpc-message", "grpc-status"]),
    }
}

/// Adds a value as Envoy does: appended to an existing one, or as a separate entry.
pub(crate) fn add(map: &mut HeaderMap, kind: StreamMap, name: &[u8], value: &[u8]) {
    match map.get(name) {
        Some(before) if is_joined(kind, name) => {
            let comma: &[u8] = if before.is_empty() || value.is_empty() { b"" } else { b"," };
            let joined = [before, comma, value].concat();
            map.set(name, joined);
        }
        _ => map.add(name, value),
    }
}

/// The map as Envoy keeps it.
pub(crate) fn merged(map: HeaderMap, kind: StreamMap) -> HeaderMap {
    // Most maps have no name twice, and every stream has several maps.
    if !map.has_a_name_twice() {
        return map;
    }
    let mut out = HeaderMap::new();
    for (name, value) in map.iter() {
        add(&mut out, kind, name, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_headers_are_joined_and_others_are_not() {
        let map = HeaderMap::from(&[("x-a", "1"), ("user-agent", "1"), ("X-A", "2"), ("User-Agent", "2")]);
        let request = merged(map.clone(), StreamMap::Headers(Direction::Request));
        assert_eq!(request, HeaderMap::from(&[("x-a", "1"), ("user-agent", "1,2"), ("x-a", "2")]));
        assert_eq!(merged(map.clone(), StreamMap::Headers(Direction::Response)), map);
    }

    #[test]
    fn an_empty_value_is_joined_without_a_comma() {
        let map = HeaderMap::from(&[("via", ""), ("via", "a"), ("via", "")]);
        let kind = StreamMap::Headers(Direction::Response);
        assert_eq!(merged(map, kind), HeaderMap::from(&[("via", "a")]));
    }
}
