//! The functions a plugin may export for the host, and their signatures.
//!
//! As in Envoy, a module that exports one of them with another signature does not load. All parameters and results
//! are `i32`.

/// A callback: its name, and how many parameters and results it has.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) parameters: usize,
    pub(crate) results: usize,
}

const fn without_result(name: &'static str, parameters: usize) -> Signature {
    Signature { name, parameters, results: 0 }
}

const fn with_result(name: &'static str, parameters: usize) -> Signature {
    Signature { name, parameters, results: 1 }
}

/// Every function the host calls, as ABI 0.2 has them; the source is proxy-wasm-cpp-host's `wasm.h`.
pub(crate) const CALLBACKS: [Signature; 35] = [
    without_result("_initialize", 0),
    without_result("_start", 0),
    with_result("main", 2),
    with_result("__main_void", 0),
    without_result("proxy_on_context_create", 2),
    with_result("proxy_on_vm_start", 2),
    with_result("proxy_on_configure", 2),
    without_result("proxy_on_tick", 1),
    with_result("proxy_on_done", 1),
    without_result("proxy_on_log", 1),
    without_result("proxy_on_delete", 1),
    without_result("proxy_on_queue_ready", 2),
    with_result("proxy_on_new_connection", 1),
    with_result("proxy_on_downstream_data", 3),
    with_result("proxy_on_upstream_data", 3),
    without_result("proxy_on_downstream_connection_close", 2),
    without_result("proxy_on_upstream_connection_close", 2),
    with_result("proxy_on_request_headers", 3),
    with_result("proxy_on_request_body", 3),
    with_result("proxy_on_request_trailers", 2),
    with_result("proxy_on_response_headers", 3),
    with_result("proxy_on_response_body", 3),
    with_result("proxy_on_response_trailers", 2),
    without_result("proxy_on_http_call_response", 5),
    without_result("proxy_on_grpc_receive_initial_metadata", 3),
    without_result("proxy_on_grpc_receive", 3),
    without_result("proxy_on_grpc_receive_trailing_metadata", 3),
    without_result("proxy_on_grpc_close", 3),
    without_result("proxy_on_foreign_function", 3),
    with_result("proxy_validate_configuration", 2),
    with_result("proxy_on_request_metadata", 2),
    with_result("proxy_on_response_metadata", 2),
    without_result("envoy_on_resolve_dns", 3),
    with_result("malloc", 1),
    with_result("proxy_on_memory_allocate", 1),
];
