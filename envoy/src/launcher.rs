//! Starts a real Envoy from the shipped `envoy.yaml`.
//!
//! The shipped file is the one that operators copy, so it is the one to test: [`EnvoySpec`] may change
//! addresses, paths, the set of clusters, the number of listeners and the filters before SeqRoute, and nothing else.
//! Invariants:
//!
//! - no port is guessed: Envoy binds port 0 and reports the address, so parallel tests never collide;
//! - no process outlives its owner, however the owner ends;
//! - a failed start reports the warnings and errors in Envoy's log.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec};
//! use seqroute_envoy::mock_llm::MockLlm;
//!
//! let small = MockLlm::start("small", "127.0.0.1:0".parse()?)?;
//! let run_dir = tempfile::tempdir()?;
//! let mut spec = EnvoySpec::new(EnvoyBinary::locate()?, run_dir.path());
//! spec.upstreams = vec![("small".to_owned(), small.addr())];
//! spec.listeners = vec![ListenerSpec::plain("direct")];
//! let envoy = Envoy::start(spec).await?;
//! println!("POST http://{}/v1/chat/completions", envoy.listener("direct")?);
//! envoy.stop().await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod binary;
mod config;
mod process;

pub use binary::EnvoyBinary;
pub use config::{EcdsSource, ListenerSpec, RoutePatch, SHIPPED_CONFIG};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use admin::Admin;
use process::Supervised;

/// How often a condition is checked while waiting for it.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// Lines of Envoy's log that an error quotes.
const LOG_TAIL_LINES: usize = 30;

/// What to start. Build it with [`EnvoySpec::new`], then change the public fields.
#[derive(Debug, Clone)]
pub struct EnvoySpec {
    /// The Envoy to run.
    pub binary: EnvoyBinary,
    /// Receives the configuration (`envoy.json`), the logs and, unless a listener says otherwise, the
    /// decision records. Created if absent.
    pub run_dir: PathBuf,
    /// Worker threads. Each has its own instance of the filter.
    pub concurrency: u32,
    /// The clusters and where their one endpoint listens. They replace those of the shipped file; each is a
    /// copy of its first cluster.
    pub upstreams: Vec<(String, SocketAddr)>,
    /// Further clusters, as an operator writes them.
    pub clusters: Vec<Value>,
    /// The cluster of requests that no filter routes. `None`: the shipped default if it is among `upstreams`,
    /// otherwise the first upstream.
    pub default_cluster: Option<String>,
    /// The listeners, each a copy of the shipped one.
    pub listeners: Vec<ListenerSpec>,
    /// Port of the admin interface on loopback; 0 lets the system choose.
    pub admin_port: u16,
    /// Envoy's log level: `trace`, `debug`, `info`, `warning`, `error`.
    pub log_level: String,
    /// Other levels for single components, for example `wasm:debug`.
    pub component_log_level: Option<String>,
    /// How long Envoy may take to become ready. Compiling a large module takes tens of seconds.
    pub start_timeout: Duration,
}

impl EnvoySpec {
    /// Two workers, free ports, level `info`, two minutes to start; no upstreams and no listeners yet.
    pub fn new(binary: EnvoyBinary, run_dir: impl Into<PathBuf>) -> EnvoySpec {
        EnvoySpec {
            binary,
            run_dir: run_dir.into(),
            concurrency: 2,
            upstreams: Vec::new(),
            clusters: Vec::new(),
            default_cluster: None,
            listeners: Vec::new(),
            admin_port: 0,
            log_level: "info".to_owned(),
            component_log_level: None,
            start_timeout: Duration::from_secs(120),
        }
    }

    /// The configuration for Envoy: the shipped file with this spec's changes.
    ///
    /// # Errors
    /// Names the field of the shipped file or of the spec that does not fit.
    pub fn config(&self) -> anyhow::Result<Value> {
        config::patch(config::shipped()?, self)
    }
}

/// A running Envoy. Dropping it stops the process and waits until it is gone.
#[derive(Debug)]
pub struct Envoy {
    admin: Admin,
    listeners: BTreeMap<String, SocketAddr>,
    process: Supervised,
    run_dir: PathBuf,
}

impl Envoy {
    /// Starts Envoy and returns once it serves: all listeners are bound and every filter is loaded.
    ///
    /// # Errors
    /// If the spec is inconsistent, Envoy refuses its configuration, a filter is rejected, or
    /// `start_timeout` runs out. The message ends with what Envoy's log complains about.
    pub async fn start(spec: EnvoySpec) -> anyhow::Result<Envoy> {
        let run_dir = &spec.run_dir;
        std::fs::create_dir_all(run_dir).with_context(|| format!("cannot create {}", run_dir.display()))?;
        for file in [admin_address_file(run_dir), log_file(run_dir)] {
            // Files of an earlier run in the same directory would be mistaken for this run's.
            let _ = std::fs::remove_file(file);
        }
        let config_file = run_dir.join("envoy.json");
        let config = serde_json::to_string_pretty(&spec.config()?)?;
        std::fs::write(&config_file, config)
            .with_context(|| format!("cannot write {}", config_file.display()))?;

        let process =
            Supervised::spawn(spec.binary.path(), &arguments(&spec, &config_file), &stderr_file(run_dir))?;
        match serve(&spec, &process).await {
            Ok((admin, listeners)) => Ok(Envoy { admin, listeners, process, run_dir: spec.run_dir }),
            Err(error) => {
                // Envoy buffers its log; it is whole once the process is gone.
                drop(process);
                bail!("Envoy did not start: {error:#}\n--- from its log\n{}", complaints(run_dir))
            }
        }
    }

    /// The address at which the listener of this name accepts connections.
    ///
    /// # Errors
    /// If the spec had no such listener.
    pub fn listener(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let known = || self.listeners.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.listeners
            .get(name)
            .copied()
            .with_context(|| format!("no listener '{name}'; there are: {}", known()))
    }

    /// The base URL of a listener, without a slash at the end.
    ///
    /// # Errors
    /// If the spec had no such listener.
    pub fn url(&self, listener: &str) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.listener(listener)?))
    }

    /// Address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Body of a page of the admin interface, for example `/clusters`.
    ///
    /// # Errors
    /// If Envoy does not answer with status 200.
    pub async fn admin_get(&self, path: &str) -> anyhow::Result<String> {
        self.admin.get(path).await
    }

    /// Counters and gauges whose name matches the regular expression `filter` (`""`: all).
    ///
    /// # Errors
    /// If the admin interface does not answer.
    pub async fn stats(&self, filter: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        self.admin.stats(filter).await
    }

    /// The text statistic of exactly this name, such as
    /// `extension_config_discovery.http_filter.seqroute.version_text`.
    ///
    /// # Errors
    /// If the admin interface does not answer.
    pub async fn text_stat(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.admin.text_stat(name).await
    }

    /// Waits until the statistic of exactly this name has a wanted value, and returns that value. A
    /// statistic that does not exist yet has the value 0.
    ///
    /// # Errors
    /// After `timeout`, naming the last value seen.
    pub async fn wait_for_stat(
        &self,
        name: &str,
        wanted: impl Fn(u64) -> bool,
        timeout: Duration,
    ) -> anyhow::Result<u64> {
        let deadline = Instant::now() + timeout;
        loop {
            let value = self.admin.stat(name).await?;
            if wanted(value) {
                return Ok(value);
            }
            ensure!(
                Instant::now() < deadline,
                "after {timeout:?} stat '{name}' is {value}, not the wanted value"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Process id of Envoy itself, for measuring its memory and CPU time.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether the process is still running.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// The last lines of Envoy's log, which also holds what the filter logs.
    pub fn log_tail(&self) -> String {
        log_tail(&self.run_dir)
    }

    /// Envoy's whole log, for tests that search it.
    pub fn log(&self) -> String {
        read(&log_file(&self.run_dir))
    }

    /// Stops Envoy and waits until it is gone, without blocking the caller's thread.
    pub async fn stop(self) {
        let process = self.process;
        let _ = tokio::task::spawn_blocking(move || drop(process)).await;
    }
}

/// Waits until Envoy serves, and returns how to reach it.
async fn serve(
    spec: &EnvoySpec,
    process: &Supervised,
) -> anyhow::Result<(Admin, BTreeMap<String, SocketAddr>)> {
    let deadline = Instant::now() + spec.start_timeout;
    let mut admin = None;
    loop {
        ensure!(process.is_running(), "the process ended");
        ensure!(Instant::now() < deadline, "not ready after {:?}", spec.start_timeout);
        if admin.is_none() {
            let written = std::fs::read_to_string(admin_address_file(&spec.run_dir)).unwrap_or_default();
            admin = written.trim().parse().ok().map(Admin::new).transpose()?;
        }
        if let Some(ready) = &admin
            && ready.is_live().await
        {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let admin = admin.context("no admin address")?;
    // Envoy also becomes live when a filter was refused; it then answers 500 to everything.
    // (`config_reload` counts refused updates too, `update_success` does not.)
    for listener in &spec.listeners {
        if let Some(ecds) = &listener.ecds {
            let loaded =
                format!("extension_config_discovery.http_filter.{}.update_success", ecds.resource_name);
            if admin.stat(&loaded).await? == 0 {
                bail!("listener '{}': Envoy refused the filter in {}", listener.name, ecds.file.display());
            }
        }
    }
    let listeners = admin.listeners().await?;
    for wanted in &spec.listeners {
        ensure!(listeners.contains_key(&wanted.name), "listener '{}' was not created", wanted.name);
    }
    Ok((admin, listeners))
}

fn arguments(spec: &EnvoySpec, config_file: &Path) -> Vec<String> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut arguments: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("--config-path", path(config_file.to_owned()));
    option("--concurrency", spec.concurrency.to_string());
    option("--log-level", spec.log_level.clone());
    if let Some(levels) = &spec.component_log_level {
        option("--component-log-level", levels.clone());
    }
    option("--log-path", path(log_file(&spec.run_dir)));
    option("--admin-address-path", path(admin_address_file(&spec.run_dir)));
    // Access log lines reach the file this soon; the default of ten seconds makes tests wait.
    option("--file-flush-interval-msec", "50".to_owned());
    // No shared memory segment: several Envoys run side by side, and a killed one leaves nothing behind.
    arguments.push("--disable-hot-restart".to_owned());
    arguments
}

fn admin_address_file(run_dir: &Path) -> PathBuf {
    run_dir.join("admin-address.txt")
}

fn log_file(run_dir: &Path) -> PathBuf {
    run_dir.join("envoy.log")
}

fn stderr_file(run_dir: &Path) -> PathBuf {
    run_dir.join("envoy.stderr")
}

/// The last lines of stderr and of the log.
fn log_tail(run_dir: &Path) -> String {
    last_lines(&(read(&stderr_file(run_dir)) + &read(&log_file(run_dir))), |_| true)
}

/// Everything on stderr, and the warnings and errors of the log; the end of the log if both are empty. At level
/// `info` Envoy lists hundreds of extensions while it starts, which would hide the one line that matters.
fn complaints(run_dir: &Path) -> String {
    let is_complaint =
        |line: &str| ["[warning]", "[error]", "[critical]"].iter().any(|level| line.contains(level));
    let complaints = last_lines(&read(&log_file(run_dir)), is_complaint);
    let stderr = read(&stderr_file(run_dir));
    if complaints.is_empty() && stderr.is_empty() { log_tail(run_dir) } else { stderr + &complaints }
}

fn last_lines(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<&str> = text.lines().filter(|line| wanted(line)).collect();
    lines.split_off(lines.len().saturating_sub(LOG_TAIL_LINES)).join("\n")
}

/// An unreadable log must not hide the error that it should explain.
fn read(file: &Path) -> String {
    std::fs::read(file).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
