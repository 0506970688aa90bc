//! The checks, in the order of the report.

use anyhow::{Context, Result, bail, ensure};
use seqroute_harness::{FailurePolicy, Host, HostOptions, Plugin, StepState, Stream, Vm, VmOptions, cuts};

use super::Subject;
use crate::target::START_MS;

/// The check that all others depend on.
pub const CONFIGURES: &str = "is configured, first in a throw-away VM";

/// A check without a failure, or with something that fails in some proxies.
pub enum Passed {
    Ok(String),
    Warning(String),
}

type Check = fn(&Subject) -> Result<Passed>;

/// Every check with its name.
pub const ALL: [(&str, Check); 13] = [
    (CONFIGURES, configures),
    ("serves a request with body and trailers", whole_exchange),
    ("serves a request without a body", without_body),
    ("serves bodies cut at every byte", every_byte),
    ("survives a body that is not text", binary_body),
    ("survives headers that are not UTF-8", binary_headers),
    ("survives a client that disconnects at any point", client_leaves),
    ("survives a local reply of the proxy", local_answer),
    ("ticks", ticks),
    ("accepts a new configuration while a stream is open", reconfigures),
    ("answers a configuration that is not text", refuses_configuration),
    ("does not grow with the number of requests", does_not_grow),
    ("does not wait for bodies that the proxy does not deliver", plain_istio),
];

struct Started {
    host: Host,
    vm: Vm,
    plugin: Plugin,
}

impl Subject {
    fn start(&self) -> Result<Started> {
        self.start_with(|_| {})
    }

    fn start_with(&self, change: impl FnOnce(&mut VmOptions)) -> Result<Started> {
        let host = Host::new(HostOptions { now_ms: START_MS, ..HostOptions::default() });
        let mut options = VmOptions {
            vm_configuration: self.vm_configuration.clone(),
            failure_policy: FailurePolicy::Closed,
            allow_on_headers_stop_iteration: true,
            ..VmOptions::default()
        };
        change(&mut options);
        let vm = host.vm(&self.module, options)?;
        let plugin = vm.plugin("conformance", &self.configuration)?;
        Ok(Started { host, vm, plugin })
    }

    fn headers(&self, body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let length = body.len().to_string();
        let headers: [(&str, &str); 7] = [
            (":method", "POST"),
            (":path", &self.path),
            (":authority", "example.org"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("x-session-id", "conformance"),
        ];
        headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }
}

const ANSWER: &str = r#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":10}}"#;
const ANSWER_HEADERS: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];

/// Answers the request, unless the plugin has replied or holds it.
fn answer(stream: &mut Stream) -> Result<&'static str> {
    if let Some(reply) = stream.local_response() {
        stream.finish()?;
        return Ok(if reply.status < 400 { "answered by the plugin" } else { "refused by the plugin" });
    }
    if stream.is_reset() {
        stream.finish()?;
        return Ok("reset by the plugin");
    }
    let reached = stream.upstream_request_complete();
    if reached {
        stream.response_headers(&ANSWER_HEADERS, false)?;
        stream.response_body(ANSWER, true)?;
    }
    stream.finish()?;
    Ok(if reached { "passed" } else { "held by the plugin" })
}

fn send(started: &Started, subject: &Subject, pieces: &[Vec<u8>]) -> Result<&'static str> {
    let mut stream = started.plugin.stream();
    let body = pieces.concat();
    stream.request_headers(&subject.headers(&body), pieces.is_empty())?;
    for (index, piece) in pieces.iter().enumerate() {
        stream.request_body(piece, index + 1 == pieces.len())?;
    }
    answer(&mut stream)
}

fn configures(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let lines = started.vm.logs();
    let last = lines.last().map(|line| format!("; logged: {}", line.text)).unwrap_or_default();
    Ok(Passed::Ok(format!("memory {} KiB{last}", started.vm.memory_bytes() / 1024)))
}

fn whole_exchange(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let mut stream = started.plugin.stream();
    stream.request_headers(&subject.headers(&subject.body), false)?;
    stream.request_body(&subject.body, false)?;
    stream.request_trailers(&[("x-request-trailer", "1")])?;
    if stream.local_response().is_none() && stream.upstream_request_complete() {
        stream.response_headers(&ANSWER_HEADERS, false)?;
        stream.response_body(ANSWER, false)?;
        stream.response_trailers(&[("x-response-trailer", "1")])?;
        ensure!(
            stream.client_response_complete(),
            "the answer is held, expected it to be complete at its end"
        );
    }
    let (status, callbacks) = (stream.local_response().map(|reply| reply.status), stream.callbacks().len());
    stream.finish()?;
    let calls: u64 = started.vm.hostcalls().values().sum();
    let end = status.map_or_else(|| "passed".to_owned(), |status| format!("answered {status}"));
    Ok(Passed::Ok(format!("{end}; {callbacks} callbacks, {calls} host calls so far")))
}

fn without_body(subject: &Subject) -> Result<Passed> {
    Ok(Passed::Ok(send(&subject.start()?, subject, &[])?.to_owned()))
}

fn every_byte(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let whole = send(&started, subject, std::slice::from_ref(&subject.body))?;
    let pieces: Vec<Vec<u8>> = cuts::every_byte(&subject.body).into_iter().map(<[u8]>::to_vec).collect();
    let cut = send(&started, subject, &pieces)?;
    if whole == cut {
        return Ok(Passed::Ok(format!("{cut}, as in one piece")));
    }
    Ok(Passed::Warning(format!("{cut} in single bytes, {whole} in one piece")))
}

fn binary_body(subject: &Subject) -> Result<Passed> {
    let body: Vec<u8> = (0..=255).cycle().take(4096).collect();
    Ok(Passed::Ok(send(&subject.start()?, subject, &[body])?.to_owned()))
}

fn binary_headers(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let mut stream = started.plugin.stream();
    let mut headers = subject.headers(&subject.body);
    for (name, value) in &mut headers {
        if name == b"x-session-id" {
            *value = b"\xff\xfe caf\xe9".to_vec();
        }
    }
    headers.push((b"x-binary".to_vec(), (1..=255).filter(|byte| ![10, 13].contains(byte)).collect()));
    stream.request_headers(&headers, false).context("a client can send such a header and kill the VM")?;
    stream.request_body(&subject.body, true)?;
    Ok(Passed::Ok(answer(&mut stream)?.to_owned()))
}

fn client_leaves(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let moments = 6;
    for moment in 0..moments {
        let mut stream = started.plugin.stream();
        let mut go = |step: usize, act: &mut dyn FnMut(&mut Stream) -> Result<()>| {
            let goes_on = stream.local_response().is_none() && !stream.is_reset();
            if step < moment && goes_on { act(&mut stream) } else { Ok(()) }
        };
        go(0, &mut |stream| {
            stream.request_headers(&subject.headers(&subject.body), false).map(drop).map_err(Into::into)
        })?;
        let (first, rest) = subject.body.split_at(subject.body.len() / 2);
        go(1, &mut |stream| stream.request_body(first, false).map(drop).map_err(Into::into))?;
        go(2, &mut |stream| stream.request_body(rest, true).map(drop).map_err(Into::into))?;
        go(3, &mut |stream| stream.response_headers(&ANSWER_HEADERS, false).map(drop).map_err(Into::into))?;
        go(4, &mut |stream| stream.response_body("{", false).map(drop).map_err(Into::into))?;
        stream.finish().with_context(|| format!("after {moment} events"))?;
    }
    Ok(Passed::Ok(format!("{moments} moments")))
}

fn local_answer(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let mut stream = started.plugin.stream();
    stream.request_headers(&subject.headers(&subject.body), false)?;
    if stream.local_response().is_none() {
        stream.request_body(&subject.body, true)?;
    }
    if stream.local_response().is_none() && !stream.is_reset() {
        stream.response_headers(&[(":status", "503"), ("content-type", "text/plain")], false)?;
        stream.response_body("no healthy upstream", true)?;
    }
    stream.finish()?;
    Ok(Passed::Ok("503".to_owned()))
}

fn ticks(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    let mut due = 0;
    for _ in 0..10 {
        started.host.clock().advance_ms(1_000);
        due += started.vm.tick()?;
    }
    Ok(Passed::Ok(if due == 0 { "no ticks requested".to_owned() } else { format!("{due} in 10 s") }))
}

fn reconfigures(subject: &Subject) -> Result<Passed> {
    let Started { host: _host, vm, plugin } = subject.start()?;
    let mut old = plugin.stream();
    old.request_headers(&subject.headers(&subject.body), false)?;
    let plugin_2 = vm.plugin("conformance", &subject.configuration)?;
    let mut new = plugin_2.stream();
    new.request_headers(&subject.headers(&subject.body), false)?;
    for stream in [&mut old, &mut new] {
        if stream.local_response().is_none() {
            stream.request_body(&subject.body, true)?;
        }
        answer(stream)?;
    }
    plugin.shutdown().context("shutting down the old plugin")?;
    let mut after = plugin_2.stream();
    after.request_headers(&subject.headers(&[]), true)?;
    Ok(Passed::Ok(format!("the next request {}", answer(&mut after)?)))
}

fn refuses_configuration(subject: &Subject) -> Result<Passed> {
    let started = subject.start()?;
    match started.vm.plugin("conformance", b"\xff{\0") {
        Ok(_) => Ok(Passed::Ok("accepted".to_owned())),
        Err(error) if matches!(error.failure, seqroute_harness::ConfigureFailure::Failed(_)) => {
            Ok(Passed::Warning(format!("trapped: {error}")))
        }
        Err(_) => {
            let still = send(&started, subject, std::slice::from_ref(&subject.body))?;
            Ok(Passed::Ok(format!("refused; with the old one the next request {still}")))
        }
    }
}

fn does_not_grow(subject: &Subject) -> Result<Passed> {
    const REQUESTS: usize = 2_000;
    let started = subject.start()?;
    let play = || -> Result<usize> {
        for _ in 0..REQUESTS {
            send(&started, subject, std::slice::from_ref(&subject.body))?;
            started.host.clock().advance_ms(1_000);
        }
        started.vm.clear_logs();
        Ok(started.vm.memory_bytes())
    };
    let sizes = [play()?, play()?, play()?];
    let [first, second, third] = sizes;
    if first < second && second < third {
        bail!("memory after each {REQUESTS} requests: {first}, {second}, {third} bytes");
    }
    Ok(Passed::Ok(format!("{} KiB after {} requests", third / 1024, 3 * REQUESTS)))
}

/// Without `allow_on_headers_stop_iteration`, as Istio's WasmPlugin runs it, a plugin that pauses in the headers
/// callback gets no body, and a request whose body it waits for hangs.
fn plain_istio(subject: &Subject) -> Result<Passed> {
    let started = subject.start_with(|options| options.allow_on_headers_stop_iteration = false)?;
    let mut stream = started.plugin.stream();
    let step = stream.request_headers(&subject.headers(&subject.body), false)?;
    let mut state = step.state;
    if state != StepState::Replied {
        state = stream.request_body(&subject.body, true)?.state;
    }
    stream.finish()?;
    if state == StepState::Held {
        let detail = "the request hangs without `allow_on_headers_stop_iteration` (Istio WasmPlugin)";
        return Ok(Passed::Warning(detail.to_owned()));
    }
    Ok(Passed::Ok("serves with and without `allow_on_headers_stop_iteration`".to_owned()))
}
