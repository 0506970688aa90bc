//! The expectations of an exchange. Each panics if it does not hold.

use serde_json::Value;

use super::Exchange;
use super::failure::Difference;
use crate::abi::log_level::LogLevel;
use crate::api::step::StepState;
use crate::proxy::headers::HeaderMap;

/// The receiver of the headers.
#[derive(Clone, Copy)]
enum Receiver {
    Upstream,
    Client,
}

impl Receiver {
    fn name(self) -> &'static str {
        match self {
            Receiver::Upstream => "the request to the upstream",
            Receiver::Client => "the response to the client",
        }
    }
}

impl Exchange {
    /// Everything sent last was forwarded.
    #[track_caller]
    pub fn expect_forwarded(self) -> Self {
        self.expect_state(StepState::Forwarded)
    }

    /// The plugin holds back what was sent last and waits for more.
    #[track_caller]
    pub fn expect_paused(self) -> Self {
        self.expect_state(StepState::Paused)
    }

    /// The state of the stream after what was sent last.
    #[track_caller]
    pub fn expect_state(self, state: StepState) -> Self {
        let seen = self.last.as_ref().map(|step| format!("{:?}", step.state));
        self.compare("the state of the stream", Some(format!("{state:?}")), seen)
    }

    /// The plugin or the host sent a local reply with this status.
    #[track_caller]
    pub fn expect_local_reply(self, status: u32) -> Self {
        let seen = self.stream.local_response().map(|reply| reply.status.to_string());
        self.compare("the status of the local reply", Some(status.to_string()), seen)
    }

    /// A header of the request as the upstream gets it.
    #[track_caller]
    pub fn expect_upstream_header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.expect_header(Receiver::Upstream, name, Some(value.as_ref()))
    }

    /// The upstream does not get this header.
    #[track_caller]
    pub fn expect_no_upstream_header(self, name: &str) -> Self {
        self.expect_header(Receiver::Upstream, name, None)
    }

    /// All headers of the request as the upstream gets them, in order.
    #[track_caller]
    pub fn expect_upstream_headers(self, headers: impl Into<HeaderMap>) -> Self {
        self.expect_headers(Receiver::Upstream, &headers.into())
    }

    /// The whole body of the request as the upstream gets it.
    #[track_caller]
    pub fn expect_upstream_body(self, body: impl AsRef<[u8]>) -> Self {
        let seen = self.stream.upstream_request_body();
        self.compare("the body of the request", Some(text(body.as_ref())), Some(text(&seen)))
    }

    /// A value (by JSON pointer, RFC 6901) in the body of the request as the upstream gets it.
    #[track_caller]
    pub fn expect_upstream_json(self, pointer: &str, value: impl Into<Value>) -> Self {
        let seen = self.stream.upstream_request_body();
        self.expect_json("the body of the request", &seen, pointer, value.into())
    }

    /// A header of the response as the client gets it.
    #[track_caller]
    pub fn expect_client_header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.expect_header(Receiver::Client, name, Some(value.as_ref()))
    }

    /// The client does not get this header.
    #[track_caller]
    pub fn expect_no_client_header(self, name: &str) -> Self {
        self.expect_header(Receiver::Client, name, None)
    }

    /// All headers of the response as the client gets them, in order.
    #[track_caller]
    pub fn expect_client_headers(self, headers: impl Into<HeaderMap>) -> Self {
        self.expect_headers(Receiver::Client, &headers.into())
    }

    /// The whole body of the response as the client gets it.
    #[track_caller]
    pub fn expect_client_body(self, body: impl AsRef<[u8]>) -> Self {
        let seen = self.stream.client_response_body();
        self.compare("the body of the response", Some(text(body.as_ref())), Some(text(&seen)))
    }

    /// A value (by JSON pointer, RFC 6901) in the body of the response as the client gets it.
    #[track_caller]
    pub fn expect_client_json(self, pointer: &str, value: impl Into<Value>) -> Self {
        let seen = self.stream.client_response_body();
        self.expect_json("the body of the response", &seen, pointer, value.into())
    }

    /// Filter state that the plugin wrote; in Envoy, `wasm.<name>`.
    #[track_caller]
    pub fn expect_filter_state(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let seen = self.stream.filter_state(name).map(|seen| text(&seen));
        self.compare(&format!("filter state `{name}`"), Some(text(value.as_ref())), seen)
    }

    /// The plugin wrote no filter state under this name.
    #[track_caller]
    pub fn expect_no_filter_state(self, name: &str) -> Self {
        let seen = self.stream.filter_state(name).map(|seen| text(&seen));
        self.compare(&format!("filter state `{name}`"), None, seen)
    }

    /// A value (by JSON pointer, RFC 6901) in filter state that the plugin wrote.
    #[track_caller]
    pub fn expect_filter_state_json(self, name: &str, pointer: &str, value: impl Into<Value>) -> Self {
        let seen = self.stream.filter_state(name).unwrap_or_default();
        self.expect_json(&format!("filter state `{name}`"), &seen, pointer, value.into())
    }

    /// The value of a counter or gauge, over all VMs of the host.
    #[track_caller]
    pub fn expect_metric(self, name: &str, value: u64) -> Self {
        let metrics = self.vm.host_metrics();
        let seen = metrics.counter(name).or_else(|| metrics.gauge(name));
        self.compare(&format!("metric `{name}`"), Some(value.to_string()), seen.map(|seen| seen.to_string()))
    }

    /// A line at this level or above, logged since the exchange began, contains this text.
    #[track_caller]
    pub fn expect_log(self, level: LogLevel, part: &str) -> Self {
        let lines = self.vm.logs();
        let lines = lines.get(self.lines_before..).unwrap_or_default();
        if !lines.iter().any(|line| line.level >= level && line.text.contains(part)) {
            self.fail(&format!("expected a log line at {level:?} or above with `{part}`, found none"), None);
        }
        self
    }

    /// Nothing was logged at this level or above since the exchange began.
    #[track_caller]
    pub fn expect_no_log(self, level: LogLevel) -> Self {
        let lines = self.vm.logs();
        let lines = lines.get(self.lines_before..).unwrap_or_default();
        if let Some(line) = lines.iter().find(|line| line.level >= level) {
            self.fail(&format!("expected no log line at {level:?} or above, found `{}`", line.text), None);
        }
        self
    }

    #[track_caller]
    fn expect_header(self, receiver: Receiver, name: &str, value: Option<&[u8]>) -> Self {
        let seen = self.headers(receiver);
        let found = seen.as_ref().and_then(|headers| headers.get(name));
        if found == value && (seen.is_some() || value.is_some()) {
            return self;
        }
        // The diff shows the whole map, with this one header corrected.
        let mut expected = seen.clone().unwrap_or_default();
        match value {
            Some(value) => expected.set(name, value),
            None => expected.remove(name),
        }
        self.differ(
            &format!("header `{name}` of {}", receiver.name()),
            Some(lines(&expected)),
            seen.as_ref().map(lines),
        )
    }

    #[track_caller]
    fn expect_headers(self, receiver: Receiver, expected: &HeaderMap) -> Self {
        let seen = self.headers(receiver);
        self.compare(
            &format!("the headers of {}", receiver.name()),
            Some(lines(expected)),
            seen.as_ref().map(lines),
        )
    }

    fn headers(&self, receiver: Receiver) -> Option<HeaderMap> {
        match receiver {
            Receiver::Upstream => self.stream.upstream_request_headers(),
            Receiver::Client => self.stream.client_response_headers(),
        }
    }

    #[track_caller]
    fn expect_json(self, what: &str, seen: &[u8], pointer: &str, value: Value) -> Self {
        let Ok(whole) = serde_json::from_slice::<Value>(seen) else {
            return self.differ(
                &format!("`{pointer}` of {what}, which is not valid JSON"),
                Some(pretty(&value)),
                Some(text(seen)),
            );
        };
        match whole.pointer(pointer) {
            Some(found) if *found == value => self,
            found => self.differ(
                &format!("`{pointer}` of {what}, which is {whole}"),
                Some(pretty(&value)),
                found.map(pretty),
            ),
        }
    }

    #[track_caller]
    fn compare(self, what: &str, expected: Option<String>, seen: Option<String>) -> Self {
        if expected == seen { self } else { self.differ(what, expected, seen) }
    }

    #[track_caller]
    fn differ(self, what: &str, expected: Option<String>, seen: Option<String>) -> Self {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "(none)".to_owned());
        let difference = Difference { expected: or_none(expected), seen: or_none(seen) };
        self.fail(&format!("not as expected: {what}"), Some(difference))
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn lines(headers: &HeaderMap) -> String {
    headers.iter().map(|(name, value)| format!("{}: {}\n", text(name), text(value))).collect()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
