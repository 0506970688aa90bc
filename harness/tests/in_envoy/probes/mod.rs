//! Single host calls: their statuses, and what can be read back.

mod buffers;
mod control;
mod fields;
mod properties;
mod replies;
mod shared;
mod wasi;

use seqroute_harness::{LogLevel, Vm};

use crate::envoy::{Envoy, exchange};
use crate::probe::Probe;

const GET: (&str, &str, &[(&str, &str)]) = ("GET", "/a?b=c", &[]);

const PROBES: [Probe; 15] = [
    fields::MAPS_OUT_OF_REACH,
    fields::HEADER_EDITS,
    fields::JOINED_REQUEST,
    fields::JOINED_RESPONSE,
    buffers::BUFFERS,
    fields::TRAILERS_SENT,
    fields::TRAILERS_MADE,
    shared::SHARED,
    properties::PROPERTIES,
    control::CONTROL,
    wasi::WASI,
    replies::REPLY_PLAIN,
    replies::REPLY_EMPTY,
    replies::REPLY_HEAD,
    replies::REPLY_GRPC,
];

/// What a probe logs in the harness before the line "end".
fn lines_here(vm: &Vm) -> Vec<String> {
    // Lines below debug are the host's own.
    let lines = vm.logs().into_iter().filter(|line| line.level > LogLevel::Trace);
    let mut lines: Vec<String> = lines.map(|line| line.text).collect();
    assert_eq!(lines.pop().as_deref(), Some("end"), "{lines:?}");
    lines
}

#[test]
fn every_probe_logs_the_same_here_and_in_envoy() {
    let listeners: Vec<_> = PROBES.iter().map(Probe::listener).collect();
    let envoy = Envoy::start(&listeners, &[("echo", "127.0.0.1:1".parse().unwrap())]);
    let mut differences = Vec::new();
    for probe in &PROBES {
        let (_host, vm) = probe.start();
        let mut stream = probe.send(&vm);
        probe.end(&mut stream);
        let here = lines_here(&vm);

        exchange(envoy.address(probe.name), probe.request()).unwrap_or_else(|| panic!("{}", probe.name));
        let there = envoy.lines_to_the_end(probe.name);
        for (number, pair) in here.iter().zip(&there).enumerate().filter(|(_, (here, there))| here != there) {
            differences.push(format!("{} line {number}: here and in Envoy {pair:?}", probe.name));
        }
        if here.len() != there.len() {
            differences.push(format!("{}: {} lines here, {} in Envoy", probe.name, here.len(), there.len()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
