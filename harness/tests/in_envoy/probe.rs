//! Probes: small plugins that log the results of host calls, run in the harness and in Envoy.
//!
//! A probe is WebAssembly text that uses the boilerplate of `common`. `@"text"` in it stands for the address and the
//! length of that text, and `(call $number ..)` logs a number.

use seqroute_harness::{HeaderMap, Host, HostOptions, Module, ModuleCache, Stream, Vm, VmOptions};

use crate::common;
use crate::envoy::{Kind, Listener};

/// More imports, and helper functions for logging.
const TOOLS: &str = r#"
  (func $number (param $n i32)
    (local $at i32)
    (local.set $at (i32.const 3990))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $next (local.get $n)))
    (call $info (local.get $at) (i32.sub (i32.const 3990) (local.get $at))))
  ;; Logs the first value of a header, or the status.
  (func $show_header (param $map i32) (param $key i32) (param $len i32)
    (local $status i32)
    (local.set $status (call $get (local.get $map) (local.get $key) (local.get $len)))
    (if (local.get $status)
      (then (call $number (local.get $status)))
      (else (call $info (global.get $value) (global.get $value_len)))))
  ;; Logs what a property holds, or the status.
  (func $show_property (param $path i32) (param $len i32)
    (local $status i32)
    (local.set $status
      (call $get_property (local.get $path) (local.get $len) (i32.const 4000) (i32.const 4004)))
    (if (local.get $status)
      (then (call $number (local.get $status)))
      (else (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))))
  ;; Logs what a part of a buffer holds, or the status.
  (func $show_buffer (param $buffer i32) (param $start i32) (param $len i32)
    (local $status i32)
    (local.set $status (call $get_buffer (local.get $buffer) (local.get $start) (local.get $len)
      (i32.const 4000) (i32.const 4004)))
    (if (local.get $status)
      (then (call $number (local.get $status)))
      (else (call $info (i32.load (i32.const 4000)) (i32.load (i32.const 4004))))))
"#;

/// The text of a plugin: the imports that only this probe needs, and its functions.
pub fn wat(imports: &str, functions: &str) -> String {
    let (code, data) = with_texts(&format!("{TOOLS} {functions}"));
    format!("(module {imports} {} {code} (data (i32.const 1000) \"{data}\"))", common::FRAME)
}

/// Replaces each `@"text"` by address and length; also returns all texts as one data segment.
fn with_texts(code: &str) -> (String, String) {
    let (mut out, mut data, mut at) = (String::new(), String::new(), 1000);
    let mut pieces = code.split("@\"");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (text, rest) = piece.split_once('"').expect("a closing quote");
        // An escape sequence is a backslash and two digits.
        let len = text.len() - 2 * text.matches('\\').count();
        out.push_str(&format!("(i32.const {at}) (i32.const {len}){rest}"));
        data.push_str(text);
        at += len;
    }
    assert!(at < 3900, "the texts of a probe are too long");
    (out, data)
}

/// A probe and the request that is sent through it.
pub struct Probe {
    pub name: &'static str,
    pub imports: &'static str,
    pub functions: &'static str,
    /// Method, path and further header lines.
    pub request: (&'static str, &'static str, &'static [(&'static str, &'static str)]),
    /// A leading "+" sends it chunked and with a trailer `t: last`. A leading "~" delivers the end of the body in a
    /// separate callback, as Envoy does for a plugin that waits for it.
    pub body: &'static str,
}

/// The trailers of chunked requests.
const TRAILERS: [(&str, &str); 1] = [("t", "last")];

impl Probe {
    fn chunked_body(&self) -> Option<&'static str> {
        self.body.strip_prefix('+')
    }

    fn body_before_the_end(&self) -> Option<&'static str> {
        self.body.strip_prefix('~')
    }

    fn text(&self) -> String {
        wat(self.imports, self.functions)
    }

    /// The listener that runs the probe in Envoy.
    pub fn listener(&self) -> Listener {
        Listener {
            name: self.name.to_owned(),
            wasm: wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{}: {error}", self.name)),
            configuration: CONFIGURATION.to_owned(),
            kind: Kind::Http { answer: ANSWER.to_owned(), body_mode: true },
        }
    }

    /// The request as bytes.
    pub fn request(&self) -> String {
        let (method, path, headers) = self.request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: llm\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = self.chunked_body() {
            let [(name, value)] = TRAILERS;
            text.push_str("transfer-encoding: chunked\r\n\r\n");
            return text + &format!("{:x}\r\n{body}\r\n0\r\n{name}: {value}\r\n\r\n", body.len());
        }
        let body = self.body_before_the_end().unwrap_or(self.body);
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text + "\r\n" + body
    }

    /// Starts the probe in the harness.
    pub fn start(&self) -> (Host, Vm) {
        let module = Module::from_bytes(self.text().as_bytes(), ModuleCache::none())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let host = Host::new(HostOptions::default());
        let options = VmOptions {
            vm_id: self.name.to_owned(),
            clusters: Some(
                ["silent", "grpc_silent", "grpc_good", "grpc_bad", "echo"].map(String::from).to_vec(),
            ),
            ..common::body_mode()
        };
        let vm = host.vm(&module, options).unwrap();
        (host, vm)
    }

    /// Sends the request in the harness.
    pub fn send(&self, vm: &Vm) -> Stream {
        let (method, path, headers) = self.request;
        let mut map = HeaderMap::from(&[(":authority", "llm"), (":path", path), (":method", method)]);
        for (name, value) in headers {
            map.add(name, value);
        }
        let mut stream = vm.plugin("", CONFIGURATION).unwrap().stream();
        stream.request_headers(map, self.body.is_empty()).unwrap();
        if self.body.is_empty() || stream.local_response().is_some() {
            return stream;
        }
        if let Some(body) = self.chunked_body() {
            stream.request_body(body, false).unwrap();
            stream.request_trailers(&TRAILERS).unwrap();
        } else if let Some(body) = self.body_before_the_end() {
            stream.request_body(body, false).unwrap();
            stream.request_body("", true).unwrap();
        } else {
            stream.request_body(self.body, true).unwrap();
        }
        stream
    }

    /// Ends the stream in the harness, with the response of the route unless the plugin replied.
    pub fn end(&self, stream: &mut Stream) {
        if stream.local_response().is_none() && stream.upstream_request_headers().is_some() {
            let headers = [
                (":status", "200".to_owned()),
                ("content-length", ANSWER.len().to_string()),
                ("content-type", "text/plain".to_owned()),
            ];
            stream.response_headers(&headers, false).unwrap();
            if stream.local_response().is_none() {
                stream.response_body(ANSWER, true).unwrap();
            }
        }
        stream.finish().unwrap();
    }
}

/// The body of every route's response.
pub const ANSWER: &str = "answer";

/// The configuration of every probe.
pub const CONFIGURATION: &str = "configured";
