//! The HTTP examples of proxy-wasm-rust-sdk.

use seqroute_harness::{HeaderMap, HttpCallResponse, LogLevel, Stream, Vm};

use crate::{example, lines};

fn get(vm: &Vm, path: &str) -> Stream {
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream
        .request_headers(&[(":method", "GET"), (":path", path), (":authority", "localhost")], true)
        .unwrap();
    stream
}

fn body(stream: &Stream) -> String {
    String::from_utf8(stream.client_response_body()).unwrap()
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_headers_logs_all_headers_and_answers_hello() {
    let (_, vm) = example("http_headers");
    let mut stream = get(&vm, "/hello");
    let reply = stream.local_response().unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"Hello, World!\n"[..]));
    let client = stream.client_response_headers().unwrap();
    assert_eq!(
        client,
        HeaderMap::from(&[
            (":status", "200"),
            ("hello", "World"),
            ("powered-by", "proxy-wasm"),
            ("content-length", "14"),
            ("content-type", "text/plain"),
        ])
    );
    assert_eq!(stream.upstream_request_headers(), None);
    stream.finish().unwrap();
    assert_eq!(
        lines(&vm),
        [
            "#2 -> :method: GET",
            "#2 -> :path: /hello",
            "#2 -> :authority: localhost",
            "#2 <- :status: 200",
            "#2 <- hello: World",
            "#2 <- powered-by: proxy-wasm",
            "#2 <- content-length: 14",
            "#2 <- content-type: text/plain",
            "#2 completed.",
        ]
    );
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_headers_lets_other_paths_pass() {
    let (_, vm) = example("http_headers");
    let mut stream = get(&vm, "/");
    assert!(stream.local_response().is_none() && stream.upstream_request_complete());
    stream.response_headers(&[(":status", "200"), ("x", "y")], true).unwrap();
    stream.finish().unwrap();
    assert!(lines(&vm).ends_with(&[
        "#2 <- :status: 200".into(),
        "#2 <- x: y".into(),
        "#2 completed.".into()
    ]));
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_body_redacts_a_whole_body_with_a_secret() {
    let (_, vm) = example("http_body");
    for (pieces, expected) in [
        (["my sec", "ret is 42"], "Original message body (15 bytes) redacted.\n"),
        (["nothing ", "to hide"], "nothing to hide"),
    ] {
        let mut stream = get(&vm, "/");
        stream.response_headers(&[(":status", "200"), ("content-length", "15")], false).unwrap();
        stream.response_body(pieces[0], false).unwrap();
        assert_eq!(body(&stream), "", "the body is held until it is whole");
        stream.response_body(pieces[1], true).unwrap();
        assert_eq!(body(&stream), expected);
        assert_eq!(stream.client_response_headers().unwrap(), HeaderMap::from(&[(":status", "200")]));
        stream.finish().unwrap();
    }
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_body_lets_a_body_with_trailers_pass_because_no_callback_ends_it() {
    let (_, vm) = example("http_body");
    let mut stream = get(&vm, "/");
    stream.response_headers(&[(":status", "200")], false).unwrap();
    stream.response_body("my secret", false).unwrap();
    stream.response_trailers(&[("t", "1")]).unwrap();
    assert_eq!(body(&stream), "my secret");
    stream.finish().unwrap();
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_config_adds_its_configuration_as_a_header() {
    let (_, vm) = example("http_config");
    let mut stream = vm.plugin("", b"hello from the configuration").unwrap().stream();
    stream.request_headers(&[(":method", "GET"), (":path", "/"), (":authority", "a")], true).unwrap();
    stream.response_headers(&[(":status", "200")], true).unwrap();
    let client = stream.client_response_headers().unwrap();
    assert_eq!(client.get_str("custom-header").as_deref(), Some("hello from the configuration"));
    stream.finish().unwrap();
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_auth_random_calls_httpbin_and_grants_access_for_an_even_byte() {
    let (_, vm) = example("http_auth_random");
    let mut stream = get(&vm, "/headers");
    let calls = vm.pending_http_calls();
    assert_eq!((calls.len(), calls[0].upstream.as_str(), calls[0].timeout_ms), (1, "httpbin", 1_000));
    assert_eq!(calls[0].headers.get_str(":path").as_deref(), Some("/bytes/1"));
    assert!(stream.upstream_request_headers().is_none());
    vm.answer_http_call(calls[0].token, HttpCallResponse::new(200, [42])).unwrap();
    assert!(stream.upstream_request_complete());
    stream.response_headers(&[(":status", "200")], true).unwrap();
    assert_eq!(
        stream.client_response_headers().unwrap().get_str("powered-by").as_deref(),
        Some("proxy-wasm")
    );
    stream.finish().unwrap();
    assert_eq!(lines(&vm), ["Access granted."]);
}

fn assert_forbidden(vm: &Vm, stream: &mut Stream) {
    assert_eq!(
        (stream.local_response().unwrap().status, body(stream).as_str()),
        (403, "Access forbidden.\n")
    );
    assert_eq!(stream.client_response_headers().unwrap().get_all("powered-by"), [b"proxy-wasm"]);
    stream.finish().unwrap();
    assert_eq!(lines(vm), ["Access forbidden."]);
}

#[test]
#[ignore = "needs the module; make conformance"]
fn http_auth_random_forbids_access_for_an_odd_byte_a_failure_and_a_timeout() {
    let (_, vm) = example("http_auth_random");
    let mut odd = get(&vm, "/headers");
    vm.answer_http_call(vm.pending_http_calls()[0].token, HttpCallResponse::new(200, [7])).unwrap();
    assert_forbidden(&vm, &mut odd);

    let (_, vm) = example("http_auth_random");
    let mut failed = get(&vm, "/headers");
    vm.fail_http_call(vm.pending_http_calls()[0].token).unwrap();
    assert_forbidden(&vm, &mut failed);

    // The response to a timeout begins with an odd byte, the "u" of its text.
    let (host, vm) = example("http_auth_random");
    let mut late = get(&vm, "/headers");
    host.clock().advance_ms(1_000);
    assert_eq!(vm.run_timeouts().unwrap(), 1);
    assert_forbidden(&vm, &mut late);
}

fn grpc(vm: &Vm, path: &str) -> Stream {
    let mut stream = vm.plugin("", b"").unwrap().stream();
    let headers =
        [(":method", "POST"), (":path", path), (":authority", "a"), ("content-type", "application/grpc")];
    stream.request_headers(&headers, false).unwrap();
    stream
}

#[test]
#[ignore = "needs the module; make conformance"]
fn grpc_auth_random_refuses_clients_without_grpc_and_lets_reflection_pass() {
    let (_, vm) = example("grpc_auth_random");
    let mut plain = get(&vm, "/");
    assert_eq!(plain.local_response().unwrap().status, 503);
    assert_eq!(body(&plain), "Service accessible only to gRPC clients.\n");
    plain.finish().unwrap();
    let mut reflection = grpc(&vm, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    assert!(reflection.upstream_request_headers().is_some() && vm.pending_grpc_calls().is_empty());
    reflection.finish().unwrap();
}

#[test]
#[ignore = "needs the module; make conformance"]
fn grpc_auth_random_grants_access_for_an_even_status() {
    let (_, vm) = example("grpc_auth_random");
    let mut stream = grpc(&vm, "/hello.HelloService/SayHello");
    let call = vm.pending_grpc_calls().remove(0);
    assert_eq!((call.upstream.as_str(), call.timeout_ms), ("grpcbin", 1_000));
    assert_eq!((call.service.as_str(), call.method.as_str()), ("grpcbin.GRPCBin", "RandomError"));
    assert!(stream.upstream_request_headers().is_none());
    vm.answer_grpc_call(call.token, "").unwrap();
    assert!(stream.upstream_request_headers().is_some());
    stream.response_headers(&[(":status", "200")], true).unwrap();
    assert_eq!(
        stream.client_response_headers().unwrap().get_str("powered-by").as_deref(),
        Some("proxy-wasm")
    );
    stream.finish().unwrap();
    assert_eq!(lines(&vm), ["Access granted."]);
}

#[test]
#[ignore = "needs the module; make conformance"]
fn grpc_auth_random_aborts_for_an_odd_status_with_a_grpc_error() {
    let (_, vm) = example("grpc_auth_random");
    let mut stream = grpc(&vm, "/hello.HelloService/SayHello");
    vm.fail_grpc_call(vm.pending_grpc_calls()[0].token, 13, "internal").unwrap();
    let client = stream.client_response_headers().unwrap();
    let field = |name| client.get_str(name).unwrap_or_default();
    assert_eq!((field(":status"), field("content-type")), ("200".into(), "application/grpc".into()));
    assert_eq!((field("grpc-status"), field("grpc-message")), ("10".into(), "Aborted by Proxy-Wasm!".into()));
    assert_eq!((field("powered-by"), body(&stream)), ("proxy-wasm".into(), String::new()));
    stream.finish().unwrap();
    assert_eq!(lines(&vm), ["Access forbidden."]);
}

#[test]
#[ignore = "needs the module; make conformance"]
fn envoy_filter_metadata_answers_with_metadata_if_there_is_any() {
    let (_, vm) = example("envoy_filter_metadata");
    let mut stream = vm.plugin("", b"").unwrap().stream();
    let path = ["metadata", "filter_metadata", "envoy.filters.http.lua", "uppercased-custom-metadata"];
    stream.set_property(&path, "SOME-VALUE");
    stream.request_headers(&[(":method", "GET"), (":path", "/"), (":authority", "a")], true).unwrap();
    assert_eq!(body(&stream), "Custom response with Envoy metadata: \"SOME-VALUE\"\n");
    let client = stream.client_response_headers().unwrap();
    assert_eq!(client.get_str("uppercased-metadata").as_deref(), Some("SOME-VALUE"));
    assert_eq!(client.get_str("powered-by").as_deref(), Some("proxy-wasm"));
    stream.finish().unwrap();
    let mut without = get(&vm, "/");
    assert!(without.local_response().is_none() && without.upstream_request_complete());
    without.finish().unwrap();
    assert!(!vm.logged(LogLevel::Warn, ""));
}
