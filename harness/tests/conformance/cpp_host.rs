//! The test modules of proxy-wasm-cpp-host that are written in Rust, with the expectations of its own tests
//! (`test/*_test.cc`).

use seqroute_harness::{AbiVersion, Error, Host, HostOptions, LogLevel, Vm, VmOptions};

use crate::{lines, module, try_module};

fn vm(name: &str, options: VmOptions) -> Vm {
    Host::new(HostOptions::default()).vm(&module(name), options).unwrap()
}

fn plain(name: &str) -> Vm {
    vm(name, VmOptions::default())
}

#[test]
#[ignore = "needs the module; make conformance"]
fn abi_export_is_of_version_0_2_0_and_starts() {
    assert_eq!(module("abi_export").abi_version(), AbiVersion::V0_2_0);
    let vm = plain("abi_export");
    let mut stream = vm.plugin("", b"").unwrap().stream();
    stream.request_headers(&[(":path", "/")], true).unwrap();
    assert!(stream.upstream_request_complete());
    stream.finish().unwrap();
}

#[test]
#[ignore = "needs the module; make conformance"]
fn bad_malloc_may_log_but_make_no_other_call() {
    let vm = plain("bad_malloc");
    assert_ne!(vm.call_export("proxy_on_memory_allocate", &[0x1000]).unwrap(), Some(0));
    assert!(lines(&vm).is_empty());
    vm.call_export("proxy_on_memory_allocate", &[0xAAAA]).unwrap();
    assert_eq!(lines(&vm), ["this is fine"]);
    let error = vm.call_export("proxy_on_memory_allocate", &[0xBBBB]).unwrap_err();
    assert!(error.to_string().contains("restricted callback: proxy_done"), "{error}");
    assert!(vm.failure().is_some());
}

#[test]
#[ignore = "needs the module; make conformance"]
fn callback_imports_functions_of_its_test_and_does_not_load() {
    let error = try_module("callback").unwrap_err();
    assert!(error.contains("env::callback"), "{error}");
}

#[test]
#[ignore = "needs the module; make conformance"]
fn clock_reads_both_clocks() {
    let host = Host::new(HostOptions::default());
    let vm = host.vm(&module("clock"), VmOptions::default()).unwrap();
    host.clock().advance_ms(1_500);
    vm.call_export("run", &[]).unwrap();
    let lines = lines(&vm);
    assert!(
        lines[0].starts_with("monotonic: ") && lines[0].contains("tv_sec: 1, tv_nsec: 500000000"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("realtime: ") && lines[1].contains("1700000001"), "{lines:?}");
}

#[test]
#[ignore = "needs the module; make conformance"]
fn random_gives_up_to_64_kib_at_once() {
    let vm = plain("random");
    for len in [0, 32, 64 * 1024, 65 * 1024] {
        vm.call_export("run", &[len]).unwrap();
    }
    assert_eq!(
        lines(&vm),
        [
            "random_get(0) succeeded.",
            "random_get(32) succeeded.",
            "random_get(65536) succeeded.",
            "random_get(66560) failed.",
        ]
    );
}

#[test]
#[ignore = "needs the module; make conformance"]
fn env_sees_the_variables_it_is_given_and_no_others() {
    let variables = [("KEY1", "VALUE1"), ("KEY2", "VALUE2")];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let with = vm("env", VmOptions { environment, ..VmOptions::default() });
    with.call_export("run", &[]).unwrap();
    assert_eq!(lines(&with), ["KEY1: VALUE1\n", "KEY2: VALUE2\n"]);
    let without = plain("env");
    without.call_export("run", &[]).unwrap();
    assert!(lines(&without).is_empty());
}

#[test]
#[ignore = "needs the module; make conformance"]
fn trap_fails_the_vm_with_a_backtrace() {
    for (export, arguments, frame) in [("trigger", &[][..], "one"), ("trigger2", &[0], "trigger2")] {
        let vm = plain("trap");
        let error = vm.call_export(export, arguments).unwrap_err();
        assert!(matches!(error, Error::Trap { .. }));
        let text = error.to_string();
        assert!(text.contains("unreachable") && text.contains(frame), "{text}");
        assert!(vm.logged(LogLevel::Error, "trap!"), "the panic's text goes to standard error");
        assert!(matches!(vm.call_export(export, arguments), Err(Error::VmFailed(_))));
    }
}

#[test]
#[ignore = "needs the module; make conformance"]
fn resource_limits_runs_into_the_memory_limit() {
    let limit = 20 * 1024 * 1024;
    let vm = vm("resource_limits", VmOptions { memory_limit_bytes: limit, ..VmOptions::default() });
    let error = vm.call_export("infinite_memory", &[]).unwrap_err();
    assert!(error.to_string().contains("unreachable"), "{error}");
    assert!(vm.memory_bytes() <= limit && vm.memory_bytes() >= limit / 100 * 95);
}

#[test]
#[ignore = "needs the module; make conformance"]
fn endianness_passes_numbers_and_bytes() {
    let vm = plain("endianness");
    assert_eq!(vm.call_export("test_return_u32", &[]).unwrap(), Some(3_333_333_333));
    assert_eq!(vm.call_export("test_return_i32", &[]).unwrap().map(u32::cast_signed), Some(-1_111_111_111));
    assert_eq!(vm.call_export("test_buffer_from_wasm", &[]).unwrap(), Some(1));
    assert_eq!(lines(&vm), ["hello from wasm land!"]);
}
