//! A host with the compiled filter, and the moves of one turn.

use std::sync::LazyLock;

use seqroute_core::reply::record::DecisionRecord;
use seqroute_harness::{
    ConfigureError, Exchange, HeaderMap, Host, HostOptions, LocalResponse, Module, Plugin, Stream, Vm,
};
use seqroute_tests::support::module;
use serde_json::Value;

/// Compiled once per test process, and once per build on disk.
pub static MODULE: LazyLock<Module> = LazyLock::new(|| module::compiled().expect("the compiled filter"));

pub const START_MS: u64 = 1_800_000_000_000;

/// A host and the VMs ("workers") that share its data.
pub struct World {
    pub host: Host,
    pub vms: Vec<Vm>,
    pub plugins: Vec<Plugin>,
}

impl World {
    pub fn new(workers: usize, settings: &Value) -> World {
        Self::try_new(workers, settings).expect("the configuration is accepted")
    }

    pub fn try_new(workers: usize, settings: &Value) -> Result<World, ConfigureError> {
        let host = Host::new(HostOptions { now_ms: START_MS, ..HostOptions::default() });
        let vms: Vec<Vm> =
            (0..workers).map(|_| host.vm(&MODULE, module::vm_options()).expect("a VM")).collect();
        let configure = |vm: &Vm| vm.plugin("seqroute", settings.to_string());
        let plugins = vms.iter().map(configure).collect::<Result<_, _>>()?;
        Ok(World { host, vms, plugins })
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.host.metrics().counter(&format!("seqroute.{name}")).unwrap_or(0)
    }

    /// granted − settled − refunded − expired.
    pub fn outstanding(&self) -> u64 {
        let ended = ["settled", "refunded", "expired"].map(|name| self.counter(&format!("{name}_nano_usd")));
        self.counter("granted_nano_usd") - ended.iter().sum::<u64>()
    }

    pub fn stream(&self, worker: usize) -> Stream {
        self.plugins[worker].stream()
    }

    /// Sends a whole request; the stream then waits for its answer.
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

    /// Sends a whole request, as the beginning of a sentence.
    pub fn exchange(&self, worker: usize, session: &str, body: &str) -> Exchange {
        self.exchange_with(worker, &[("x-session-id", session.as_bytes())], body)
    }

    pub fn exchange_with(&self, worker: usize, headers: &[(&str, &[u8])], body: &str) -> Exchange {
        self.plugins[worker].exchange().request(at_the_edge(headers, body.as_bytes()), body)
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

/// A chat request's headers as they come behind the edge of the shipped configuration.
pub fn at_the_edge(headers: &[(&str, &[u8])], body: &[u8]) -> HeaderMap {
    let mut all = HeaderMap::from(&[
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "llm"),
        ("x-seqroute-cluster", "small"),
        ("content-type", "application/json"),
    ]);
    all.add("content-length", body.len().to_string());
    headers.iter().for_each(|(name, value)| all.add(name, value));
    all
}

/// The headers of an answer in JSON.
pub const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A turn in flight.
pub struct Turn {
    pub stream: Stream,
    pub refused: Option<LocalResponse>,
}

impl Turn {
    pub fn upstream_header(&self, name: &str) -> Option<String> {
        let headers = self.stream.upstream_request_headers()?;
        headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

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

pub fn json_answer(prompt_tokens: u64, output_tokens: u64) -> String {
    format!(
        r#"{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":{output_tokens}}}}}"#
    )
}

/// A chat request of exactly `bytes` bytes with a limit on its output.
pub fn chat(bytes: usize, max_tokens: u64) -> String {
    let empty = format!(
        r#"{{"model":"auto","max_tokens":{max_tokens},"messages":[{{"role":"user","content":""}}]}}"#
    );
    let padding = "x".repeat(bytes.checked_sub(empty.len()).expect("room for the frame"));
    empty.replace(r#""content":"""#, &format!(r#""content":"{padding}""#))
}
