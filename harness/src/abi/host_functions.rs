//! Every host function, of `env` and of WASI, and when a module may call it.
//!
//! This is the only list: host calls are counted by their place in it, and a host function that is missing here does
//! not compile. The source of the phases is proxy-wasm-cpp-host's `wasm.cc`.

/// What the module is doing. In a later phase everything is allowed that is allowed in an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The module's allocator runs for the host.
    Allocating,
    /// The module's start functions run.
    Starting,
    /// Everything else.
    Running,
}

/// A host function.
pub(crate) struct HostFunction {
    pub(crate) name: &'static str,
    /// The first phase in which a module may call it.
    earliest: Phase,
}

const fn while_allocating(name: &'static str) -> HostFunction {
    HostFunction { name, earliest: Phase::Allocating }
}

const fn from_start(name: &'static str) -> HostFunction {
    HostFunction { name, earliest: Phase::Starting }
}

const fn running(name: &'static str) -> HostFunction {
    HostFunction { name, earliest: Phase::Running }
}

/// All host functions.
pub(crate) static HOST_FUNCTIONS: [HostFunction; 88] = [
    running("envoy_resolve_dns"),
    running("proxy_add_header_map_value"),
    running("proxy_call_foreign_function"),
    running("proxy_clear_route_cache"),
    running("proxy_close_stream"),
    running("proxy_continue_request"),
    running("proxy_continue_response"),
    running("proxy_continue_stream"),
    running("proxy_define_metric"),
    running("proxy_dequeue_shared_queue"),
    running("proxy_done"),
    running("proxy_enqueue_shared_queue"),
    running("proxy_get_buffer_bytes"),
    running("proxy_get_buffer_status"),
    running("proxy_get_configuration"),
    running("proxy_get_current_time_nanoseconds"),
    running("proxy_get_header_map_pairs"),
    running("proxy_get_header_map_size"),
    running("proxy_get_header_map_value"),
    running("proxy_get_log_level"),
    running("proxy_get_metric"),
    running("proxy_get_property"),
    running("proxy_get_shared_data"),
    running("proxy_get_status"),
    running("proxy_grpc_call"),
    running("proxy_grpc_cancel"),
    running("proxy_grpc_close"),
    running("proxy_grpc_send"),
    running("proxy_grpc_stream"),
    running("proxy_http_call"),
    running("proxy_increment_metric"),
    while_allocating("proxy_log"),
    running("proxy_record_metric"),
    running("proxy_register_shared_queue"),
    running("proxy_remove_header_map_value"),
    running("proxy_replace_header_map_value"),
    running("proxy_resolve_shared_queue"),
    running("proxy_send_local_response"),
    running("proxy_set_buffer_bytes"),
    running("proxy_set_effective_context"),
    running("proxy_set_header_map_pairs"),
    running("proxy_set_property"),
    running("proxy_set_shared_data"),
    running("proxy_set_tick_period_milliseconds"),
    from_start("args_get"),
    from_start("args_sizes_get"),
    from_start("clock_res_get"),
    while_allocating("clock_time_get"),
    from_start("environ_get"),
    from_start("environ_sizes_get"),
    from_start("fd_advise"),
    from_start("fd_allocate"),
    running("fd_close"),
    from_start("fd_datasync"),
    from_start("fd_fdstat_get"),
    from_start("fd_fdstat_set_flags"),
    from_start("fd_fdstat_set_rights"),
    from_start("fd_filestat_get"),
    from_start("fd_filestat_set_size"),
    from_start("fd_filestat_set_times"),
    from_start("fd_pread"),
    from_start("fd_prestat_dir_name"),
    from_start("fd_prestat_get"),
    from_start("fd_pwrite"),
    running("fd_read"),
    from_start("fd_readdir"),
    from_start("fd_renumber"),
    running("fd_seek"),
    from_start("fd_sync"),
    from_start("fd_tell"),
    while_allocating("fd_write"),
    from_start("path_create_directory"),
    from_start("path_filestat_get"),
    from_start("path_filestat_set_times"),
    from_start("path_link"),
    running("path_open"),
    from_start("path_readlink"),
    from_start("path_remove_directory"),
    from_start("path_rename"),
    from_start("path_symlink"),
    from_start("path_unlink_file"),
    from_start("poll_oneoff"),
    from_start("random_get"),
    running("sched_yield"),
    from_start("sock_accept"),
    from_start("sock_recv"),
    from_start("sock_send"),
    from_start("sock_shutdown"),
];

/// A row of [`HOST_FUNCTIONS`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostFunctionId(usize);

impl HostFunctionId {
    /// The row of `name`; evaluated at compile time.
    pub(crate) const fn of(name: &str) -> HostFunctionId {
        let mut index = 0;
        while index < HOST_FUNCTIONS.len() {
            if equal(HOST_FUNCTIONS[index].name.as_bytes(), name.as_bytes()) {
                return HostFunctionId(index);
            }
            index += 1;
        }
        panic!("a host function is missing in HOST_FUNCTIONS")
    }

    pub(crate) const fn index(self) -> usize {
        self.0
    }

    pub(crate) const fn name(self) -> &'static str {
        HOST_FUNCTIONS[self.0].name
    }

    /// Whether a module may call it in this phase.
    pub(crate) const fn is_allowed_in(self, phase: Phase) -> bool {
        phase as u8 >= HOST_FUNCTIONS[self.0].earliest as u8
    }
}

const fn equal(left: &[u8], right: &[u8]) -> bool {
    let mut index = 0;
    while index < left.len() && index < right.len() && left[index] == right[index] {
        index += 1;
    }
    index == left.len() && index == right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_functions_may_be_called_while_the_module_starts_and_fewer_while_it_allocates() {
        let allowed = |name, phase| HostFunctionId::of(name).is_allowed_in(phase);
        assert!(allowed("proxy_log", Phase::Allocating) && allowed("proxy_log", Phase::Running));
        assert!(!allowed("random_get", Phase::Allocating) && allowed("random_get", Phase::Starting));
        assert!(
            !allowed("proxy_get_property", Phase::Starting) && allowed("proxy_get_property", Phase::Running)
        );
    }
}
