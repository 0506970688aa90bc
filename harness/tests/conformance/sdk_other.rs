//! The examples of proxy-wasm-rust-sdk other than HTTP filters.

use seqroute_harness::{Action, ClosedBy, Host, HostOptions, VmOptions};

use crate::{example, lines, module};

/// The log of hello_world in its first ten seconds, on a host with this seed.
fn greetings(seed: u64) -> Vec<String> {
    let host = Host::new(HostOptions { seed, ..HostOptions::default() });
    let vm = host.vm(&module("proxy_wasm_example_hello_world"), VmOptions::default()).unwrap();
    let _plugin = vm.plugin("", b"").unwrap();
    host.clock().advance_ms(4_999);
    assert_eq!(vm.tick().unwrap(), 0);
    for ms in [1, 5_000] {
        host.clock().advance_ms(ms);
        assert_eq!(vm.tick().unwrap(), 1);
    }
    lines(&vm)
}

#[test]
#[ignore = "needs the module; make conformance"]
fn hello_world_greets_and_logs_a_lucky_number_every_five_seconds() {
    let lines = greetings(7);
    assert_eq!((lines.len(), lines[0].as_str()), (3, "Hello, World!"));
    for (line, time) in lines[1..].iter().zip(["22:13:25", "22:13:30"]) {
        let number = line.strip_prefix(&format!("It's 2023-11-14 {time} UTC, your lucky number is "));
        let number = number.and_then(|rest| rest.strip_suffix('.')).unwrap_or_else(|| panic!("{line}"));
        number.parse::<u8>().unwrap();
    }
    assert_eq!(greetings(7), lines, "the same seed gives the same luck");
    assert_ne!(greetings(8), lines);
}

#[test]
#[ignore = "needs the module; make conformance"]
fn envoy_tcp_routing_chooses_the_cluster_by_the_last_byte_of_the_source_address() {
    let (_, vm) = example("envoy_tcp_routing");
    let plugin = vm.plugin("", b"x").unwrap();
    for (source, cluster) in [
        ("172.22.0.10:42148", Some("egress-router1")),
        ("172.22.0.11:35736", Some("egress-router2")),
        ("[2001:db8::3]:8080", Some("egress-router2")),
        ("/run/socket", None),
    ] {
        let mut connection = plugin.connection();
        connection.set_property(&["source", "address"], source);
        assert_eq!(connection.open().unwrap(), Action::Continue);
        let chosen = connection.envoy_filter_state("envoy.tcp_proxy.cluster");
        assert_eq!(chosen.as_deref(), cluster.map(str::as_bytes), "{source}");
        connection.downstream_data("GET / HTTP/1.1\r\n", false).unwrap();
        connection.upstream_data("HTTP/1.1 200 OK\r\n", true).unwrap();
        assert_eq!(connection.upstream_received(), b"GET / HTTP/1.1\r\n");
        assert_eq!(connection.client_received(), b"HTTP/1.1 200 OK\r\n");
        connection.close(ClosedBy::Client).unwrap();
    }
    assert_eq!(
        lines(&vm),
        [
            "[TCP WASM] Configuration: \"x\"",
            "[TCP WASM] Routed source 172.22.0.10:42148 to egress-router1",
            "[TCP WASM] Routed source 172.22.0.11:35736 to egress-router2",
            "[TCP WASM] Routed source [2001:db8::3]:8080 to egress-router2",
            "[TCP WASM] Failed to parse source address for routing: /run/socket",
        ]
    );
}
