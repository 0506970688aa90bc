//! Examples of proxy-wasm-rust-sdk: the client gets equal responses from the harness and from Envoy.
//!
//! Ignored like the other tests of modules that are not in this repository; `make conformance` runs them.

use std::io::{Read, Write};
use std::net::TcpListener;

use seqroute_harness::{
    HeaderMap, Host, HostOptions, HttpCallResponse, Module, ModuleCache, Stream, Vm, VmOptions,
};

use crate::envoy::{Answer, Envoy, Kind, Listener, exchange};

/// The body of every route.
const ROUTE: &str = "my secret";

fn wasm(name: &str) -> Vec<u8> {
    let directory = std::env::var_os("CONFORMANCE_MODULES").map(std::path::PathBuf::from);
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/conformance").into();
    let path = directory.unwrap_or_else(default).join(format!("proxy_wasm_example_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; see harness/CONFORMANCE.md for where to get it", path.display())
    })
}

fn listener(name: &str) -> Listener {
    Listener {
        name: name.into(),
        wasm: wasm(name),
        configuration: "configured".into(),
        kind: Kind::Http { answer: ROUTE.into(), body_mode: false },
    }
}

/// Sends the request in the harness; `upstream` plays the upstreams that the plugin calls.
fn here(name: &str, path: &str, upstream: impl FnOnce(&Vm)) -> Answer {
    let module = Module::from_bytes(&wasm(name), ModuleCache::none()).unwrap();
    let vm = Host::new(HostOptions::default()).vm(&module, VmOptions::default()).unwrap();
    let mut stream = vm.plugin("", b"configured").unwrap().stream();
    stream.request_headers(&[(":authority", "a"), (":path", path), (":method", "GET")], true).unwrap();
    upstream(&vm);
    if stream.local_response().is_none() {
        let length = ROUTE.len().to_string();
        let headers = [(":status", "200"), ("content-length", &length), ("content-type", "text/plain")];
        stream.response_headers(&headers, false).unwrap();
        stream.response_body(ROUTE, true).unwrap();
    }
    let answer = answer(&stream);
    stream.finish().unwrap();
    answer
}

fn answer(stream: &Stream) -> Answer {
    let headers: HeaderMap = stream.client_response_headers().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Answer {
        status: headers.get_str(":status").unwrap().parse().unwrap(),
        headers: headers
            .iter()
            .filter(|(name, _)| *name != b":status")
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        body: text(&stream.client_response_body()),
    }
}

fn sorted(mut answer: Answer) -> Answer {
    answer.headers.sort();
    answer
}

/// Responds to each connection with one byte, cycling through `bytes`.
fn byte_server(bytes: &'static [u8]) -> std::net::SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for byte in bytes {
            let (mut connection, _) = server.accept().unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n";
            connection.write_all(&[&head[..], &[*byte]].concat()).unwrap();
        }
    });
    address
}

#[test]
#[ignore = "needs the modules and Envoy; make conformance"]
fn clients_of_the_examples_get_equal_responses() {
    let names = ["http_headers", "http_body", "http_config", "http_auth_random", "grpc_auth_random"];
    let listeners = names.map(listener);
    let envoy = Envoy::start(
        &listeners,
        &[("httpbin", byte_server(b"*c")), ("grpcbin", "127.0.0.1:1".parse().unwrap())],
    );
    let nothing = |_: &Vm| {};
    let byte = |byte: u8| {
        move |vm: &Vm| {
            let token = vm.pending_http_calls()[0].token;
            vm.answer_http_call(token, HttpCallResponse::new(200, [byte])).unwrap();
        }
    };
    let answers = [
        ("http_headers", "/hello", here("http_headers", "/hello", nothing)),
        ("http_headers", "/other", here("http_headers", "/other", nothing)),
        ("http_body", "/", here("http_body", "/", nothing)),
        ("http_config", "/", here("http_config", "/", nothing)),
        ("http_auth_random", "/", here("http_auth_random", "/", byte(b'*'))),
        ("http_auth_random", "/", here("http_auth_random", "/", byte(b'c'))),
        ("grpc_auth_random", "/", here("grpc_auth_random", "/", nothing)),
    ];
    for (name, path, here) in answers {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let there = exchange(envoy.address(name), &request).unwrap();
        assert_eq!(sorted(here), sorted(there), "{name} {path}");
    }
}
