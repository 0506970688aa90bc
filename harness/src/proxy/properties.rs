//! Properties a plugin can read, and filter state it can write.
//!
//! A path is a list of segments, joined by NUL on the wire. Envoy knows hundreds of paths; the harness knows those the
//! test set and derives a few from the messages, so that a test need not set them. What the test set takes precedence.
//! What a plugin writes becomes filter state under `wasm.` and the raw path. It can be read back by a one-segment path
//! only, because Envoy looks filter state up by the first segment.

use std::collections::{BTreeMap, HashMap};

use crate::proxy::headers::HeaderMap;

/// The properties and the filter state of one stream or connection.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    set: HashMap<Vec<u8>, Vec<u8>>,
    filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    envoy_filter_state: BTreeMap<String, Vec<u8>>,
}

/// The messages that properties are derived from.
pub(crate) struct Messages<'a> {
    pub(crate) request: Option<&'a HeaderMap>,
    pub(crate) response: Option<&'a HeaderMap>,
    pub(crate) details: Option<&'a str>,
}

/// The messages of a TCP connection, which has none.
const NO_MESSAGES: Messages<'static> = Messages { request: None, response: None, details: None };

impl Properties {
    /// Sets the property at `path` for the test.
    pub(crate) fn set(&mut self, path: &[&str], value: &[u8]) {
        self.set.insert(path.join("\0").into_bytes(), value.to_vec());
    }

    /// Writes filter state for the plugin.
    pub(crate) fn set_filter_state(&mut self, path: &[u8], value: Vec<u8>) {
        self.filter_state.insert(path.to_vec(), value);
    }

    /// Writes one of Envoy's own filter state objects for the plugin.
    pub(crate) fn set_envoy_filter_state(&mut self, name: &str, value: Vec<u8>) {
        self.envoy_filter_state.insert(name.to_owned(), value);
    }

    /// Envoy's filter state object that the plugin wrote under `name`.
    pub(crate) fn envoy_filter_state(&self, name: &str) -> Option<&[u8]> {
        self.envoy_filter_state.get(name).map(Vec::as_slice)
    }

    /// The filter state the plugin wrote under `path`, without the `wasm.` prefix.
    pub(crate) fn filter_state(&self, path: &[u8]) -> Option<&[u8]> {
        self.filter_state.get(path).map(Vec::as_slice)
    }

    /// The property at `path` of a TCP connection, which has no messages.
    pub(crate) fn of_connection(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.get(path, &NO_MESSAGES)
    }

    /// The property at `path`, serialised as on the wire.
    pub(crate) fn get(&self, path: &[u8], messages: &Messages<'_>) -> Option<Vec<u8>> {
        let path = path.strip_suffix(&[0]).unwrap_or(path);
        if let Some(value) = self.set.get(path) {
            return Some(value.clone());
        }
        let segments: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
        if let [b"filter_state", name] = segments.as_slice() {
            return self.filter_state_by_key(name).map(<[u8]>::to_vec);
        }
        derive(&segments, messages)
            .or_else(|| self.filter_state.get(path).filter(|_| segments.len() == 1).cloned())
    }

    /// Filter state by its full key in Envoy.
    fn filter_state_by_key(&self, key: &[u8]) -> Option<&[u8]> {
        match key.strip_prefix(b"wasm.") {
            Some(path) => self.filter_state(path),
            None => self.envoy_filter_state(std::str::from_utf8(key).ok()?),
        }
    }
}

fn derive(path: &[&[u8]], messages: &Messages<'_>) -> Option<Vec<u8>> {
    let field = |map: Option<&HeaderMap>, name: &[u8]| map?.get(name).map(<[u8]>::to_vec);
    match path {
        [b"request", b"path"] => field(messages.request, b":path"),
        [b"request", b"url_path"] => {
            let path = field(messages.request, b":path")?;
            path.split(|byte| *byte == b'?').next().map(<[u8]>::to_vec)
        }
        [b"request", b"query"] => {
            let path = field(messages.request, b":path")?;
            path.splitn(2, |byte| *byte == b'?').nth(1).map(<[u8]>::to_vec)
        }
        [b"request", b"referer"] => field(messages.request, b"referer"),
        [b"request", b"useragent"] => field(messages.request, b"user-agent"),
        [b"request", b"method"] => field(messages.request, b":method"),
        [b"request", b"scheme"] => field(messages.request, b":scheme"),
        [b"request", b"host"] => field(messages.request, b":authority"),
        [b"request", b"headers", name] => field(messages.request, name),
        [b"response", b"headers", name] => field(messages.response, name),
        [b"response", b"code"] => {
            let code: i64 = messages.response?.get_str(":status")?.parse().ok()?;
            Some(code.to_le_bytes().to_vec())
        }
        [b"response", b"code_details"] => messages.details.map(|details| details.as_bytes().to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_the_test_set_precedes_a_derived_one() {
        let request = HeaderMap::from(&[(":path", "/a?b=1")]);
        let messages = Messages { request: Some(&request), ..NO_MESSAGES };
        let mut properties = Properties::default();
        assert_eq!(properties.get(b"request\0path", &messages).unwrap(), b"/a?b=1");
        assert_eq!(properties.get(b"request\0url_path\0", &messages).unwrap(), b"/a");
        properties.set(&["request", "path"], b"/z");
        assert_eq!(properties.get(b"request\0path", &messages).unwrap(), b"/z");
    }

    #[test]
    fn the_response_code_is_eight_little_endian_bytes() {
        let response = HeaderMap::from(&[(":status", "429")]);
        let messages = Messages { response: Some(&response), details: Some("via_upstream"), ..NO_MESSAGES };
        let code = Properties::default().get(b"response\0code", &messages).unwrap();
        assert_eq!(code, 429i64.to_le_bytes());
    }

    #[test]
    fn filter_state_is_read_back_by_one_segment_only() {
        let mut properties = Properties::default();
        properties.set_filter_state(b"a", b"1".to_vec());
        properties.set_filter_state(b"a\0b", b"2".to_vec());
        assert_eq!(properties.get(b"a", &NO_MESSAGES).unwrap(), b"1");
        assert_eq!(properties.get(b"a\0b", &NO_MESSAGES), None);
        assert_eq!(properties.filter_state(b"a\0b"), Some(&b"2"[..]));
    }

    #[test]
    fn all_filter_state_is_read_by_its_full_key() {
        let mut properties = Properties::default();
        properties.set_filter_state(b"a", b"1".to_vec());
        properties.set_envoy_filter_state("envoy.string", b"2".to_vec());
        assert_eq!(properties.get(b"filter_state\0wasm.a", &NO_MESSAGES).unwrap(), b"1");
        assert_eq!(properties.get(b"filter_state\0envoy.string", &NO_MESSAGES).unwrap(), b"2");
        assert_eq!(properties.get(b"filter_state\0a", &NO_MESSAGES), None);
    }
}
