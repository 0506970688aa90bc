//! A host with the compiled filter, and the steps of one turn.

use std::sync::LazyLock;

use seqroute_core::reply::record::DecisionRecord;
use seqroute_harness::{
    ConfigureError, HeaderMap, Host, HostOptions, LocalResponse, Module, Plugin, Stream, Vm,
};
use seqroute_tests::scenario::format::Usage;
use seqroute_tests::scenario::request::Request;
use seqroute_tests::scenario::{in_harness, script};
use seqroute_tests::support::{module, money};
use serde_json::Value;

/// The filter, compiled once per test process; its machine code is cached on disk.
pub static MODULE: LazyLock<Module> = LazyLock::new(|| module::compiled().expect("the compiled filter"));

/// A host and the VMs (one per worker) that share its data.
pub struct Fixture {
    pub host: Host,
    pub vms: Vec<Vm>,
    pub plugins: Vec<Plugin>,
}

impl Fixture {
    pub fn new(workers: usize, settings: &Value) -> Fixture {
        Self::try_new(workers, settings).expect("the configuration is accepted")
    }

    pub fn try_new(workers: usize, settings: &Value) -> Result<Fixture, ConfigureError> {
        let host = Host::new(HostOptions { now_ms: module::START_MS, ..HostOptions::default() });
        let vms: Vec<Vm> =
            (0..workers).map(|_| host.vm(&MODULE, module::vm_options()).expect("a VM")).collect();
        let configure = |vm: &Vm| vm.plugin("seqroute", settings.to_string());
        let plugins = vms.iter().map(configure).collect::<Result<_, _>>()?;
        Ok(Fixture { host, vms, plugins })
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.host.metrics().counter(&format!("seqroute.{name}")).unwrap_or(0)
    }

    /// Reserved money of turns that have not ended; `level` as in [`money::outstanding_nano_usd`].
    pub fn outstanding_nano_usd(&self, level: &str) -> i128 {
        money::outstanding_nano_usd(level, |name| self.counter(name))
    }

    pub fn stream(&self, worker: usize) -> Stream {
        self.plugins[worker].stream()
    }

    /// Sends a whole request; its answer is still to come.
    pub fn request(&self, worker: usize, session: &str, body: &str) -> Turn {
        self.request_with(worker, &[("x-session-id", session.as_bytes())], body.as_bytes())
    }

    pub fn request_with(&self, worker: usize, headers: &[(&str, &[u8])], body: &[u8]) -> Turn {
        let mut turn = Turn { stream: self.stream(worker), refused: None };
        let step = turn.stream.request_headers(at_the_edge(headers, body), false).expect("no trap");
        turn.refused = step.local_response;
        if turn.refused.is_none() {
            turn.refused = turn.stream.request_body(body, true).expect("no trap").local_response;
        }
        turn
    }

    /// A whole turn with a JSON answer that reports this usage.
    pub fn turn(
        &self,
        worker: usize,
        session: &str,
        body: &str,
        prompt: u64,
        output: u64,
    ) -> Option<DecisionRecord> {
        let mut turn = self.request(worker, session, body);
        if turn.refused.is_none() {
            turn.answer_json(prompt, output);
        }
        turn.end()
    }
}

/// The headers of a chat request as the filter gets them from Envoy.
pub fn at_the_edge(headers: &[(&str, &[u8])], body: &[u8]) -> HeaderMap {
    in_harness::at_the_edge(&Request {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
        pieces: vec![body.to_vec()],
        chunked: false,
    })
}

/// A turn in flight.
pub struct Turn {
    pub stream: Stream,
    pub refused: Option<LocalResponse>,
}

impl Turn {
    pub fn answer_headers(&mut self, status: &str, content_type: &str) {
        let headers = [(":status", status), ("content-type", content_type)];
        self.stream.response_headers(&headers, false).expect("no trap");
    }

    pub fn answer_json(&mut self, prompt_tokens: u64, output_tokens: u64) {
        self.answer_headers("200", "application/json");
        self.stream.response_body(json_answer(prompt_tokens, output_tokens), true).expect("no trap");
    }

    pub fn end(mut self) -> Option<DecisionRecord> {
        self.stream.finish().expect("no trap");
        let json = self.stream.filter_state("seqroute")?;
        Some(serde_json::from_slice(&json).expect("a record is JSON"))
    }
}

/// An answer that reports this usage.
pub fn json_answer(prompt_tokens: u64, output_tokens: u64) -> String {
    script::chat_completion(Usage { prompt: Some(prompt_tokens), cached: 0, output: output_tokens })
}
