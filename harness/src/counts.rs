//! How often each host function was called.
//!
//! Counted in every host call, so it must cost next to nothing: each function has a place in one array, found when
//! this crate is compiled. A function that is not in the list does not compile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every host function, of `env` and of WASI.
const NAMES: [&str; 88] = [
    "envoy_resolve_dns",
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_clear_route_cache",
    "proxy_close_stream",
    "proxy_continue_request",
    "proxy_continue_response",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_configuration",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_size",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_register_shared_queue",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue",
    "proxy_send_local_response",
    "proxy_set_buffer_bytes",
    "proxy_set_effective_context",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The place of a host function in the counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(usize);

impl Slot {
    /// The place of `name`; evaluated when this crate is compiled.
    pub(crate) const fn of(name: &str) -> Slot {
        let mut index = 0;
        while index < NAMES.len() {
            if same(NAMES[index].as_bytes(), name.as_bytes()) {
                return Slot(index);
            }
            index += 1;
        }
        panic!("a host function that is missing in counts::NAMES")
    }
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut index = 0;
    while index < left.len() && index < right.len() && left[index] == right[index] {
        index += 1;
    }
    index == left.len() && index == right.len()
}

/// The counts of one VM over all its lives.
#[derive(Debug)]
pub(crate) struct Counts {
    calls: [AtomicU64; NAMES.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { calls: [const { AtomicU64::new(0) }; NAMES.len()] }
    }
}

impl Counts {
    /// One more call.
    pub(crate) fn note(&self, slot: Slot) {
        let calls = &self.calls[slot.0];
        // The guest's thread alone writes, so reading and writing apart loses nothing and needs no bus lock.
        calls.store(calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The functions that were called, with how often.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let all = NAMES.iter().zip(&self.calls).map(|(name, calls)| (*name, calls.load(Ordering::Relaxed)));
        all.filter(|(_, calls)| *calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_counted_for_itself() {
        let counts = Counts::default();
        counts.note(Slot::of("proxy_log"));
        counts.note(Slot::of("proxy_log"));
        counts.note(Slot::of("random_get"));
        assert_eq!(counts.by_name(), BTreeMap::from([("proxy_log", 2), ("random_get", 1)]));
    }
}
