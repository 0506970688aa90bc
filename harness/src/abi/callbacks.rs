//! The functions a plugin may export for the host, and what they must look like.
//!
//! As in Envoy a module that exports one of them with other parameters or results does not load. All parameters
//! and results are `i32`.

/// A callback: its name, and how many parameters and results it has.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) parameters: usize,
    pub(crate) results: usize,
}

const fn gives_nothing(name: &'static str, parameters: usize) -> Signature {
    Signature { name, parameters, results: 0 }
}

const fn gives_a_number(name: &'static str, parameters: usize) -> Signature {
    Signature { name, parameters, results: 1 }
}

/// Every function the host calls, as ABI 0.2 has them; the source is proxy-wasm-cpp-host's `wasm.h`.
pub(crate) const CALLBACKS: [Signature; 35] = [
    gives_nothing("_initialize", 0),
    gives_nothing("_start", 0),
    gives_a_number("main", 2),
    gives_a_number("__main_void", 0),
    gives_nothing("proxy_on_context_create", 2),
    gives_a_number("proxy_on_vm_start", 2),
    gives_a_number("proxy_on_configure", 2),
    gives_nothing("proxy_on_tick", 1),
    gives_a_number("proxy_on_done", 1),
    gives_nothing("proxy_on_log", 1),
    gives_nothing("proxy_on_delete", 1),
    gives_nothing("proxy_on_queue_ready", 2),
    gives_a_number("proxy_on_new_connection", 1),
    gives_a_number("proxy_on_downstream_data", 3),
    gives_a_number("proxy_on_upstream_data", 3),
    gives_nothing("proxy_on_downstream_connection_close", 2),
    gives_nothing("proxy_on_upstream_connection_close", 2),
    gives_a_number("proxy_on_request_headers", 3),
    gives_a_number("proxy_on_request_body", 3),
    gives_a_number("proxy_on_request_trailers", 2),
    gives_a_number("proxy_on_response_headers", 3),
    gives_a_number("proxy_on_response_body", 3),
    gives_a_number("proxy_on_response_trailers", 2),
    gives_nothing("proxy_on_http_call_response", 5),
    gives_nothing("proxy_on_grpc_receive_initial_metadata", 3),
    gives_nothing("proxy_on_grpc_receive", 3),
    gives_nothing("proxy_on_grpc_receive_trailing_metadata", 3),
    gives_nothing("proxy_on_grpc_close", 3),
    gives_nothing("proxy_on_foreign_function", 3),
    gives_a_number("proxy_validate_configuration", 2),
    gives_a_number("proxy_on_request_metadata", 2),
    gives_a_number("proxy_on_response_metadata", 2),
    gives_nothing("envoy_on_resolve_dns", 3),
    gives_a_number("malloc", 1),
    gives_a_number("proxy_on_memory_allocate", 1),
];
