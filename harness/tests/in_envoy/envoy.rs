//! A real Envoy with one listener per plugin, to compare with the harness.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long to wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// The kind of a listener.
#[derive(Clone, Debug)]
pub enum Kind {
    /// HTTP through the plugin; every route responds with this body.
    Http { answer: String, body_mode: bool },
    /// HTTP through the plugin in body mode to this cluster, including HTTP/2 metadata.
    HttpTo { cluster: &'static str },
    /// TCP through the plugin, to cluster "echo".
    Tcp,
}

/// A plugin with its own listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The name of the listener and of the plugin.
    pub name: String,
    /// The compiled module.
    pub wasm: Vec<u8>,
    /// The plugin's configuration.
    pub configuration: String,
    pub kind: Kind,
}

/// A running Envoy, which is killed on drop.
pub struct Envoy {
    child: Child,
    directory: tempfile::TempDir,
    admin: SocketAddr,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `$ENVOY_BIN`, or the binary that `make envoy` installs.
pub fn binary() -> PathBuf {
    let fetched = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/envoy/envoy"));
    let binary = std::env::var_os("ENVOY_BIN").map_or_else(fetched, PathBuf::from);
    assert!(binary.is_file(), "no Envoy at {}: run `make envoy`, or set ENVOY_BIN", binary.display());
    binary
}

impl Envoy {
    /// Starts Envoy with one worker. `clusters` are names and addresses; each speaks HTTP/2 if its name begins with
    /// "grpc".
    pub fn start(listeners: &[Listener], clusters: &[(&str, SocketAddr)]) -> Envoy {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let listeners: Vec<Value> =
            listeners.iter().map(|listener| listener.config(directory.path())).collect();
        let clusters: Vec<Value> = clusters.iter().map(|(name, address)| cluster(name, *address)).collect();
        let config = json!({
            "admin": {"address": socket_address("127.0.0.1:0".parse().unwrap())},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        std::fs::write(at("envoy.json"), config.to_string()).unwrap();
        let child = Command::new(binary())
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                "info",
                "--log-format",
                "%v",
            ])
            .arg("-c")
            .arg(at("envoy.json"))
            .arg("--admin-address-path")
            .arg(at("admin"))
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).unwrap())
            .spawn()
            .unwrap();
        let mut envoy = Envoy { child, directory, admin: "127.0.0.1:0".parse().unwrap() };
        envoy.admin = envoy.wait_for("its admin interface", |envoy| {
            std::fs::read_to_string(envoy.directory.path().join("admin")).ok()?.trim().parse().ok()
        });
        envoy.wait_for("being ready", |envoy| envoy.admin_get("/ready")?.contains("LIVE").then_some(()));
        envoy
    }

    /// The address on which a listener accepts connections.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let prefix = format!("{listener}::");
        let page = self.admin_get("/listeners").unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no listener {listener}: {page}")).parse().unwrap()
    }

    /// What the plugin of this name has logged so far.
    pub fn lines(&self, plugin: &str) -> Vec<String> {
        let log = std::fs::read(self.directory.path().join("log")).unwrap();
        // The plugin and the vm_id have the same name; lines of a root context have the vm_id alone.
        let (of_stream, of_root) = (format!("wasm log {plugin} {plugin}: "), format!("wasm log {plugin}: "));
        String::from_utf8_lossy(&log)
            .lines()
            .filter_map(|line| line.strip_prefix(&of_stream).or_else(|| line.strip_prefix(&of_root)))
            .map(str::to_owned)
            .collect()
    }

    /// What the plugin logged before the line "end".
    pub fn lines_to_the_end(&self, plugin: &str) -> Vec<String> {
        self.wait_for("the end of the plugin's log", |envoy| {
            let mut lines = envoy.lines(plugin);
            let end = lines.iter().position(|line| line == "end")?;
            lines.truncate(end);
            Some(lines)
        })
    }

    /// Waits until `look` returns something.
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Envoy) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                panic!("Envoy: no {what}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the process has exited by itself.
    pub fn wait_for_its_end(&mut self) {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "Envoy still runs");
            std::thread::sleep(POLL);
        }
    }

    fn admin_get(&self, path: &str) -> Option<String> {
        let answer =
            exchange(self.admin, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))?;
        (answer.status == 200).then_some(answer.body)
    }
}

/// Whether Envoy accepts a configuration with this module; otherwise its message.
pub fn validate(wasm: &[u8]) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener {
        name: "module".into(),
        wasm: wasm.to_vec(),
        configuration: String::new(),
        kind: Kind::Http { answer: String::new(), body_mode: false },
    };
    let config = json!({"static_resources": {"listeners": [listener.config(directory.path())]}});
    let file = directory.path().join("envoy.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let output = Command::new(binary())
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A response over HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u32,
    /// Names in lower case; those that only a whole proxy sets are left out.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Headers that Envoy itself sets.
const OF_THE_PROXY: [&str; 4] = ["date", "server", "connection", "transfer-encoding"];

/// Sends a whole request and reads the response until the connection ends.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    connection.write_all(request.as_ref()).ok()?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    let headers = headers.into_iter().filter(|(name, _)| !OF_THE_PROXY.contains(&name.as_str())).collect();
    Some(Answer { status, headers, body })
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}

impl Listener {
    fn config(&self, directory: &Path) -> Value {
        let file = directory.join(format!("{}.wasm", self.name));
        std::fs::write(&file, &self.wasm).unwrap();
        let body_mode = matches!(self.kind, Kind::Http { body_mode: true, .. } | Kind::HttpTo { .. });
        let plugin = json!({
            "name": self.name,
            "allow_on_headers_stop_iteration": body_mode,
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": self.configuration},
            "vm_config": {
                "vm_id": self.name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": file}},
            },
        });
        let filters = match &self.kind {
            Kind::Http { answer, .. } => {
                let answer = json!({"status": 200, "body": {"inline_string": answer}});
                vec![http_filter(plugin, "direct_response", &answer)]
            }
            Kind::HttpTo { cluster } => vec![http_filter(plugin, "route", &json!({"cluster": cluster}))],
            Kind::Tcp => vec![
                json!({"name": "wasm", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", "config": plugin}}),
                json!({"name": "tcp", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "tcp", "cluster": "echo"}}),
            ],
        };
        json!({
            "name": self.name,
            "address": socket_address("127.0.0.1:0".parse().unwrap()),
            "filter_chains": [{"filters": filters}],
        })
    }
}

fn http_filter(plugin: Value, action: &str, target: &Value) -> Value {
    let wasm = json!({"name": "wasm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": plugin}});
    let router = json!({"name": "router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    json!({"name": "http", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        // Otherwise Envoy waits a second for the client before it closes a connection after a request with a body.
        "delayed_close_timeout": "0s",
        "http_protocol_options": {"enable_trailers": true},
        "http_filters": [wasm, router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
            "match": {"prefix": "/"}, action: target}]}]},
    }})
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    let mut cluster = json!({
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": socket_address(address)}}]}]},
    });
    if name.starts_with("grpc") {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {"allow_metadata": true}}}});
    }
    cluster
}
