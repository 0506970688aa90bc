//! The shipped configuration in a real Envoy. Without an Envoy (`make envoy` fetches one) each test prints
//! that it was skipped, and passes.

use std::path::Path;
use std::time::Duration;

use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec, SHIPPED_CONFIG};
use seqroute_envoy::mock_llm::MockLlm;
use serde_json::{Value, json};

const PROVIDER_EXAMPLE: &str = include_str!("../provider-cluster.example.yaml");

fn envoy_or_skip() -> Option<EnvoyBinary> {
    EnvoyBinary::locate().inspect_err(|error| eprintln!("skipped: {error:#}")).ok()
}

/// The shipped file with its two directories moved below `directory`, where they are created.
fn moved(directory: &Path) -> String {
    let (ecds, logs) = (directory.join("ecds"), directory.join("logs"));
    std::fs::create_dir_all(&ecds).unwrap();
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(ecds.join("seqroute.json"), r#"{"version_info":"0","resources":[]}"#).unwrap();
    SHIPPED_CONFIG
        .replace("/etc/seqroute/ecds", ecds.to_str().unwrap())
        .replace("/var/log/seqroute", logs.to_str().unwrap())
}

struct Setup {
    small: MockLlm,
    large: MockLlm,
    envoy: Envoy,
    // Dropped last: Envoy writes into it.
    _run_dir: tempfile::TempDir,
}

impl Setup {
    async fn start(binary: EnvoyBinary) -> Setup {
        let address = "127.0.0.1:0".parse().unwrap();
        let small = MockLlm::start("small", address).unwrap();
        let large = MockLlm::start("large", address).unwrap();
        let run_dir = tempfile::tempdir().unwrap();
        let mut spec = EnvoySpec::new(binary, run_dir.path());
        spec.upstreams = vec![("large".to_owned(), large.addr()), ("small".to_owned(), small.addr())];
        spec.listeners = vec![ListenerSpec::plain("direct"), ListenerSpec::plain("other")];
        let envoy = Envoy::start(spec).await.unwrap();
        Setup { small, large, envoy, _run_dir: run_dir }
    }

    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> reqwest::Result<reqwest::Response> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}/v1/chat/completions", self.envoy.url("direct").unwrap());
        let mut request = client.post(url).body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await
    }
}

#[test]
fn envoy_accepts_the_shipped_file() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envoy.yaml");
    std::fs::write(&file, moved(directory.path())).unwrap();
    binary.validate(&file).unwrap();
}

#[test]
fn envoy_accepts_the_shipped_file_with_the_provider_example() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut config: Value = serde_saphyr::from_str(&moved(directory.path())).unwrap();
    let keys = directory.path().to_str().unwrap();
    let example = PROVIDER_EXAMPLE.replace("/etc/seqroute/keys", keys);
    let mut example: Vec<Value> = serde_saphyr::from_str(&example).unwrap();
    std::fs::write(directory.path().join("provider.yaml"), r#"{"resources": []}"#).unwrap();
    let authorities = example[0].pointer_mut(
        "/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca/filename",
    );
    if !Path::new(authorities.as_ref().unwrap().as_str().unwrap()).is_file() {
        eprintln!("skipped: this machine has no list of certificate authorities at the usual place");
        return;
    }
    let clusters = config.pointer_mut("/static_resources/clusters").unwrap().as_array_mut().unwrap();
    clusters.retain(|cluster| cluster["name"] != example[0]["name"]);
    clusters.append(&mut example);
    let file = directory.path().join("envoy.json");
    std::fs::write(&file, config.to_string()).unwrap();
    binary.validate(&file).unwrap();
}

#[test]
fn a_file_that_envoy_refuses_is_reported_with_its_reason() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envoy.json");
    std::fs::write(&file, r#"{"no_such_field": 1}"#).unwrap();
    let error = binary.validate(&file).unwrap_err().to_string();
    assert!(error.contains("envoy.json") && error.contains("no_such_field"), "{error}");
}

#[tokio::test]
async fn traffic_that_nothing_routes_goes_to_the_default_cluster_whatever_the_client_sends() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let setup = Setup::start(binary).await;
    let headers = [
        ("x-seqroute-cluster", "large"),
        ("x-seqroute-model", "large"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "5"),
        ("accept-encoding", "br"),
        ("session_id", "s-1"),
    ];
    let answer = setup.post(&headers, &json!({"model": "m"})).await.unwrap();
    assert_eq!(answer.headers()["x-mock-model"], "small");
    assert!(setup.large.received().is_empty());
    let received = setup.small.received().remove(0);
    for stripped in ["x-seqroute-cluster", "x-seqroute-model", "x-envoy-retry-on", "x-envoy-max-retries"] {
        assert_eq!(received.header(stripped), None, "{stripped}");
    }
    assert_eq!(received.header("accept-encoding"), Some("gzip"));
    assert_eq!(received.header("session_id"), Some("s-1"));
    setup.envoy.stop().await;
}

#[tokio::test]
async fn json_and_streams_pass_and_compressed_answers_arrive_decoded() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let setup = Setup::start(binary).await;
    let json: Value = setup.post(&[], &json!({"model": "m"})).await.unwrap().json().await.unwrap();
    assert_eq!(json["model"], "m");
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    for fault in [None, Some(("x-mock-fault", "gzip")), Some(("x-mock-fault", "usage-split"))] {
        let headers: Vec<_> = fault.into_iter().collect();
        let answer = setup.post(&headers, &body).await.unwrap();
        assert!(!answer.headers().contains_key("content-encoding"));
        let text = answer.text().await.unwrap();
        assert!(text.contains("\"prompt_tokens\"") && text.ends_with("[DONE]\n\n"), "{fault:?}: {text}");
    }
    setup.envoy.stop().await;
}

#[tokio::test]
async fn a_request_that_reached_a_model_is_never_sent_twice() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let setup = Setup::start(binary).await;
    for (fault, status) in [("status-500", 500), ("status-429", 429), ("reset-before-headers", 503)] {
        setup.small.clear_received();
        let answer = setup.post(&[("x-mock-fault", fault)], &json!({"model": "m"})).await.unwrap();
        assert_eq!(answer.status(), status, "{fault}");
        assert_eq!(setup.small.received().len(), 1, "{fault}");
    }
    setup.small.clear_received();
    let answer = setup.post(&[("x-mock-fault", "reset-mid-stream")], &json!({"model": "m"})).await.unwrap();
    assert!(answer.bytes().await.is_err(), "half an answer must not look like a whole one");
    assert_eq!(setup.small.received().len(), 1);
    setup.envoy.stop().await;
}

#[tokio::test]
async fn statistics_and_addresses_can_be_read_from_a_running_envoy() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let setup = Setup::start(binary).await;
    let envoy = &setup.envoy;
    assert_ne!(envoy.listener("direct").unwrap(), envoy.listener("other").unwrap());
    let unknown = envoy.listener("nowhere").unwrap_err().to_string();
    assert_eq!(unknown, "no listener 'nowhere'; there are: direct, other");
    setup.post(&[], &json!({"model": "m"})).await.unwrap().bytes().await.unwrap();
    let stat = "http.direct.downstream_rq_2xx";
    assert_eq!(envoy.wait_for_stat(stat, |count| count == 1, Duration::from_secs(5)).await.unwrap(), 1);
    assert_eq!(envoy.stats("^http\\.direct\\.downstream_rq_2xx$").await.unwrap()[stat], 1);
    let error = envoy.wait_for_stat(stat, |count| count == 2, Duration::from_millis(60)).await.unwrap_err();
    assert!(error.to_string().contains("is 1, not the wanted value"), "{error}");
    assert!(envoy.is_running() && envoy.log_tail().contains("starting main dispatch loop"));
    setup.envoy.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_quotes_the_log_and_a_refused_filter_is_named() {
    let Some(binary) = envoy_or_skip() else {
        return;
    };
    let run_dir = tempfile::tempdir().unwrap();
    let mut spec = EnvoySpec::new(binary, run_dir.path());
    spec.upstreams = vec![("small".to_owned(), "127.0.0.1:9".parse().unwrap())];
    let ecds = run_dir.path().join("ecds.json");
    std::fs::write(&ecds, filter_without_module()).unwrap();
    spec.listeners = vec![ListenerSpec::seqroute("llm", &ecds)];
    let error = Envoy::start(spec.clone()).await.unwrap_err().to_string();
    assert!(error.contains("listener 'llm': Envoy refused the filter in"), "{error}");
    assert!(error.contains("no-such-module.wasm"), "the log says why: {error}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    spec.listeners = vec![ListenerSpec::plain("llm")];
    spec.listeners[0].port = taken.local_addr().unwrap().port();
    let error = Envoy::start(spec).await.unwrap_err().to_string();
    assert!(error.contains("the process ended") && error.contains("in use"), "{error}");
}

fn filter_without_module() -> String {
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    let code = json!({"local": {"filename": "/nowhere/no-such-module.wasm"}});
    let config = json!({
        "name": "seqroute",
        "root_id": "seqroute",
        "vm_config": {"vm_id": "seqroute", "runtime": "envoy.wasm.runtime.v8", "code": code},
    });
    let resource = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "seqroute",
        "typed_config": {"@type": wasm, "config": config},
    });
    json!({"version_info": "1", "resources": [resource]}).to_string()
}
