//! Turns the shipped `envoy.yaml` into the configuration of one run.
//!
//! Only addresses, paths, names and the number of clusters and listeners change, and filters may be added before the
//! shipped ones. Timeouts, limits, header rules and the order of filters stay those of the shipped file. A field that is looked for and not found
//! is an error: the shipped file and this module must not drift apart unnoticed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::EnvoySpec;

/// The file that operators copy.
pub const SHIPPED_CONFIG: &str = include_str!("../../envoy.yaml");

/// Names in the shipped file that are looked up here.
const FILTER_NAME: &str = "seqroute";
const CLUSTER_HEADER: &str = "x-seqroute-cluster";
const DECISION_LOG: &str = "/var/log/seqroute/decisions.jsonl";

/// A filter that Envoy reads from a watched file.
#[derive(Debug, Clone)]
pub struct EcdsSource {
    /// The file, as written by `seqroute deploy`. Must exist when Envoy starts.
    pub file: PathBuf,
    /// Name of the resource in the file, and of the filter's statistics.
    pub resource_name: String,
}

impl EcdsSource {
    /// The resource `seqroute` in `file`.
    pub fn new(file: impl Into<PathBuf>) -> EcdsSource {
        EcdsSource { file: file.into(), resource_name: FILTER_NAME.to_owned() }
    }
}

/// One listener, a copy of the shipped one.
#[derive(Debug, Clone)]
pub struct ListenerSpec {
    /// Its name, unique in the spec; also the prefix of its HTTP statistics.
    pub name: String,
    /// Port on loopback; 0 lets the system choose. See [`super::Envoy::listener`].
    pub port: u16,
    /// The filter; `None` leaves it out, to measure what it adds.
    pub ecds: Option<EcdsSource>,
    /// HTTP filters before SeqRoute, such as one that authenticates callers; the shipped file has none.
    pub before: Vec<Value>,
    /// Where decision records go. `None`: `decisions-<name>.jsonl` in the run directory.
    pub decision_log: Option<PathBuf>,
    /// Overrides of the shipped route.
    pub route: RoutePatch,
}

/// Changes of a listener's route, for tests of timeouts, retries and large requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutePatch {
    /// Longest time until the end of an answer. `None`: as shipped.
    pub timeout_ms: Option<u64>,
    /// Value of `retry_on`. `None`: as shipped.
    pub retry_on: Option<String>,
    /// Largest request body that Envoy buffers. `None`: as shipped.
    pub body_buffer_bytes: Option<u64>,
}

impl ListenerSpec {
    /// A listener with the filter from an ECDS file, on a free port.
    pub fn seqroute(name: impl Into<String>, ecds_file: impl Into<PathBuf>) -> ListenerSpec {
        ListenerSpec { ecds: Some(EcdsSource::new(ecds_file)), ..ListenerSpec::plain(name) }
    }

    /// A listener without the filter, on a free port. Requests go to the default cluster.
    pub fn plain(name: impl Into<String>) -> ListenerSpec {
        ListenerSpec {
            name: name.into(),
            port: 0,
            ecds: None,
            before: Vec::new(),
            decision_log: None,
            route: RoutePatch::default(),
        }
    }

    /// The file that receives this listener's decision records.
    pub fn decision_log_in(&self, run_dir: &Path) -> PathBuf {
        self.decision_log.clone().unwrap_or_else(|| run_dir.join(format!("decisions-{}.jsonl", self.name)))
    }
}

/// The shipped file as data.
pub(super) fn shipped() -> anyhow::Result<Value> {
    serde_saphyr::from_str(SHIPPED_CONFIG).map_err(|error| anyhow::anyhow!("envoy.yaml: {error}"))
}

/// Applies a spec to the shipped configuration.
pub(super) fn patch(mut config: Value, spec: &EnvoySpec) -> anyhow::Result<Value> {
    check(spec)?;
    let mut clusters = clusters(field(&mut config, "/static_resources/clusters/0")?, spec)?;
    clusters.extend(spec.clusters.iter().cloned());
    *field(&mut config, "/static_resources/clusters")? = Value::Array(clusters);
    let listeners = listeners(field(&mut config, "/static_resources/listeners/0")?, spec)?;
    *field(&mut config, "/static_resources/listeners")? = Value::Array(listeners);
    let admin = SocketAddr::from(([127, 0, 0, 1], spec.admin_port));
    set_address(field(&mut config, "/admin/address/socket_address")?, admin);
    Ok(config)
}

fn check(spec: &EnvoySpec) -> anyhow::Result<()> {
    ensure!(!spec.upstreams.is_empty(), "EnvoySpec.upstreams: found none, expected at least one cluster");
    for (index, listener) in spec.listeners.iter().enumerate() {
        let name = &listener.name;
        let file_name_part = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        ensure!(
            file_name_part && !name.is_empty(),
            "ListenerSpec.name: found '{name}', expected letters, digits, '-' and '_'"
        );
        let earlier = spec.listeners.iter().take(index).any(|earlier| &earlier.name == name);
        ensure!(!earlier, "ListenerSpec.name: '{name}' is used twice");
        if let Some(ecds) = &listener.ecds {
            ensure!(
                ecds.file.is_file(),
                "listener '{name}': no ECDS file {}, which Envoy needs to start; `seqroute deploy` writes it",
                ecds.file.display()
            );
        }
    }
    let default = spec.default_cluster.as_ref();
    if let Some(name) = default.filter(|name| !has_cluster(spec, name)) {
        anyhow::bail!("EnvoySpec.default_cluster: '{name}' is not among the clusters");
    }
    Ok(())
}

fn has_cluster(spec: &EnvoySpec, name: &str) -> bool {
    let mut further = spec.clusters.iter().map(|cluster| &cluster["name"]);
    spec.upstreams.iter().any(|(cluster, _)| cluster == name) || further.any(|cluster| cluster == name)
}

fn clusters(template: &Value, spec: &EnvoySpec) -> anyhow::Result<Vec<Value>> {
    let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    let copy = |(name, address): &(String, SocketAddr)| {
        let mut cluster = template.clone();
        *field(&mut cluster, "/name")? = json!(name);
        *field(&mut cluster, "/load_assignment/cluster_name")? = json!(name);
        set_address(field(&mut cluster, endpoint)?, *address);
        Ok(cluster)
    };
    spec.upstreams.iter().map(copy).collect()
}

fn listeners(template: &Value, spec: &EnvoySpec) -> anyhow::Result<Vec<Value>> {
    let copy = |listener: &ListenerSpec| {
        let mut config = template.clone();
        *field(&mut config, "/name")? = json!(listener.name);
        let address = SocketAddr::from(([127, 0, 0, 1], listener.port));
        set_address(field(&mut config, "/address/socket_address")?, address);
        let connections = field(&mut config, "/filter_chains/0/filters/0/typed_config")?;
        *field(connections, "/stat_prefix")? = json!(listener.name);
        set_default_cluster(connections, spec)?;
        set_filter(connections, listener)?;
        set_logs(connections, listener, &spec.run_dir)?;
        set_route(connections, &listener.route)?;
        Ok(config)
    };
    spec.listeners.iter().map(copy).collect()
}

/// The value that overwrites the routing header at the edge.
fn set_default_cluster(connections: &mut Value, spec: &EnvoySpec) -> anyhow::Result<()> {
    let mutations = array(connections, "/early_header_mutation_extensions/0/typed_config/mutations")?;
    let header = mutations
        .iter_mut()
        .filter_map(|mutation| mutation.pointer_mut("/append/header"))
        .find(|header| header["key"] == CLUSTER_HEADER)
        .with_context(|| format!("envoy.yaml: early_header_mutation does not overwrite {CLUSTER_HEADER}"))?;
    let value = field(header, "/value")?;
    let shipped = value.as_str().unwrap_or_default().to_owned();
    let first = spec.upstreams.first().map(|(cluster, _)| cluster.clone());
    let shipped = Some(shipped).filter(|name| has_cluster(spec, name));
    *value = json!(spec.default_cluster.clone().or(shipped).or(first));
    Ok(())
}

/// Points the filter to its ECDS file, or removes it, and puts the filters before it that an operator adds.
fn set_filter(connections: &mut Value, listener: &ListenerSpec) -> anyhow::Result<()> {
    let filters = array(connections, "/http_filters")?;
    let index = filters
        .iter()
        .position(|filter| filter["name"] == FILTER_NAME)
        .with_context(|| format!("envoy.yaml: http_filters: no filter '{FILTER_NAME}'"))?;
    let Some(ecds) = &listener.ecds else {
        filters.splice(index..=index, listener.before.iter().cloned());
        return Ok(());
    };
    // Envoy resolves a relative path against its own working directory.
    let file = std::path::absolute(&ecds.file)?;
    let directory = file.parent().with_context(|| format!("no directory in {}", file.display()))?;
    let filter = &mut filters[index];
    *field(filter, "/name")? = json!(ecds.resource_name);
    let source = field(filter, "/config_discovery/config_source/path_config_source")?;
    *field(source, "/path")? = json!(file);
    *field(source, "/watched_directory/path")? = json!(directory);
    filters.splice(index..index, listener.before.iter().cloned());
    Ok(())
}

/// Applies the changes of the route.
fn set_route(connections: &mut Value, patch: &RoutePatch) -> anyhow::Result<()> {
    let route = field(connections, "/route_config/virtual_hosts/0/routes/0")?;
    if let Some(bytes) = patch.body_buffer_bytes {
        *field(route, "/request_body_buffer_limit")? = json!(bytes);
    }
    let route = field(route, "/route")?;
    if let Some(timeout_ms) = patch.timeout_ms {
        *field(route, "/timeout")? = json!(format!("{}.{:03}s", timeout_ms / 1000, timeout_ms % 1000));
    }
    if let Some(retry_on) = &patch.retry_on {
        *field(route, "/retry_policy/retry_on")? = json!(retry_on);
    }
    Ok(())
}

/// Moves both access logs into the run directory.
fn set_logs(connections: &mut Value, listener: &ListenerSpec, run_dir: &Path) -> anyhow::Result<()> {
    let run_dir = std::path::absolute(run_dir)?;
    let mut found_decision_log = false;
    for log in array(connections, "/access_log")? {
        let path = field(log, "/typed_config/path")?;
        let is_decision_log = path == DECISION_LOG;
        found_decision_log |= is_decision_log;
        *path = if is_decision_log {
            json!(std::path::absolute(listener.decision_log_in(&run_dir))?)
        } else {
            json!(run_dir.join(format!("access-{}.jsonl", listener.name)))
        };
    }
    ensure!(found_decision_log, "envoy.yaml: access_log: no log with path {DECISION_LOG}");
    Ok(())
}

fn set_address(socket_address: &mut Value, address: SocketAddr) {
    *socket_address = json!({"address": address.ip(), "port_value": address.port()});
}

fn field<'a>(value: &'a mut Value, pointer: &str) -> anyhow::Result<&'a mut Value> {
    value.pointer_mut(pointer).with_context(|| format!("envoy.yaml: no field {pointer}"))
}

fn array<'a>(value: &'a mut Value, pointer: &str) -> anyhow::Result<&'a mut Vec<Value>> {
    field(value, pointer)?.as_array_mut().with_context(|| format!("envoy.yaml: {pointer}: expected a list"))
}

#[cfg(test)]
mod tests;
