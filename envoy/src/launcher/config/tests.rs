//! The patched configuration, field by field, and the guards that the shipped file must keep.

use super::super::EnvoyBinary;
use super::*;

/// The filters that are shipped behind the filter.
const SHIPPED: [&str; 4] = [
    "envoy.filters.http.decompressor",
    "envoy.filters.http.decompressor.brotli",
    "envoy.filters.http.decompressor.zstd",
    "envoy.filters.http.router",
];
const HCM: &str = "/filter_chains/0/filters/0/typed_config";

fn spec(run_dir: &Path) -> EnvoySpec {
    let binary = EnvoyBinary::at(concat!(env!("CARGO_MANIFEST_DIR"), "/envoy.yaml")).unwrap();
    let mut spec = EnvoySpec::new(binary, run_dir);
    spec.upstreams = vec![
        ("cheap".to_owned(), "127.0.0.1:7001".parse().unwrap()),
        ("expensive".to_owned(), "[::1]:7002".parse().unwrap()),
    ];
    spec
}

#[test]
fn clusters_are_copies_of_the_shipped_one_with_other_names_and_addresses() {
    let run_dir = tempfile::tempdir().unwrap();
    let config = spec(run_dir.path()).config().unwrap();
    let clusters = config["static_resources"]["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 2);
    assert_eq!(clusters[1]["name"], "expensive");
    assert_eq!(clusters[1]["load_assignment"]["cluster_name"], "expensive");
    let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    assert_eq!(clusters[1].pointer(address).unwrap(), &json!({"address": "::1", "port_value": 7002}));
    let shipped = shipped().unwrap();
    let kept = "circuit_breakers";
    assert_eq!(clusters[1][kept], shipped["static_resources"]["clusters"][0][kept]);
    assert!(clusters[1][kept].is_object());
}

#[test]
fn every_listener_gets_its_own_name_port_filter_and_logs() {
    let run_dir = tempfile::tempdir().unwrap();
    let ecds = run_dir.path().join("one.json");
    std::fs::write(&ecds, "{}").unwrap();
    let mut spec = spec(run_dir.path());
    let mut first = ListenerSpec::seqroute("one", &ecds);
    first.ecds.as_mut().unwrap().resource_name = "seqroute-one".to_owned();
    first.port = 7100;
    spec.listeners = vec![first, ListenerSpec::plain("direct")];
    let config = spec.config().unwrap();

    let one = &config["static_resources"]["listeners"][0];
    assert_eq!(one["address"]["socket_address"], json!({"address": "127.0.0.1", "port_value": 7100}));
    let http = one.pointer(HCM).unwrap();
    assert_eq!(http["stat_prefix"], "one");
    let filter = &http["http_filters"][0];
    assert_eq!(filter["name"], "seqroute-one");
    let source = &filter["config_discovery"]["config_source"]["path_config_source"];
    assert_eq!(source["path"], json!(ecds));
    assert_eq!(source["watched_directory"]["path"], json!(run_dir.path()));
    let logs = http["access_log"].as_array().unwrap();
    let paths: Vec<_> = logs.iter().map(|log| log["typed_config"]["path"].clone()).collect();
    let expected = ["access-one.jsonl", "decisions-one.jsonl"].map(|file| json!(run_dir.path().join(file)));
    assert_eq!(paths, expected);

    let direct = config["static_resources"]["listeners"][1].pointer(HCM).unwrap();
    let names: Vec<_> = direct["http_filters"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    assert_eq!(names, SHIPPED);
}

#[test]
fn filters_that_an_operator_adds_come_before_the_shipped_ones() {
    let run_dir = tempfile::tempdir().unwrap();
    let ecds = run_dir.path().join("one.json");
    std::fs::write(&ecds, "{}").unwrap();
    let mut spec = spec(run_dir.path());
    spec.listeners = vec![ListenerSpec::seqroute("one", &ecds), ListenerSpec::plain("direct")];
    for listener in &mut spec.listeners {
        listener.before = vec![json!({"name": "first"}), json!({"name": "second"})];
    }
    let config = spec.config().unwrap();
    let names = |index: usize| -> Vec<Value> {
        let http = config["static_resources"]["listeners"][index].pointer(HCM).unwrap();
        http["http_filters"].as_array().unwrap().iter().map(|filter| filter["name"].clone()).collect()
    };
    assert_eq!(names(0), [&["first", "second", FILTER_NAME][..], &SHIPPED].concat());
    assert_eq!(names(1), [&["first", "second"][..], &SHIPPED].concat());
}

#[test]
fn the_default_cluster_is_the_shipped_one_where_it_exists_else_the_first_or_the_one_asked_for() {
    let run_dir = tempfile::tempdir().unwrap();
    let mut spec = spec(run_dir.path());
    spec.listeners = vec![ListenerSpec::plain("direct")];
    let default = |spec: &EnvoySpec| {
        let config = spec.config().unwrap();
        let http = config["static_resources"]["listeners"][0].pointer(HCM).unwrap().clone();
        http["early_header_mutation_extensions"][0]["typed_config"]["mutations"][0]["append"].clone()
    };
    assert_eq!(default(&spec)["header"], json!({"key": "x-seqroute-cluster", "value": "cheap"}));
    spec.default_cluster = Some("expensive".to_owned());
    assert_eq!(default(&spec)["header"]["value"], "expensive");
    spec.default_cluster = None;
    spec.upstreams.push(("small".to_owned(), "127.0.0.1:7003".parse().unwrap()));
    assert_eq!(default(&spec)["header"]["value"], "small");
    assert_eq!(default(&spec)["append_action"], "OVERWRITE_IF_EXISTS_OR_ADD");
}

#[test]
fn a_spec_that_does_not_fit_is_refused_with_the_field() {
    let run_dir = tempfile::tempdir().unwrap();
    let good = spec(run_dir.path());
    let refused = |change: &dyn Fn(&mut EnvoySpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec.config().unwrap_err().to_string()
    };
    assert!(refused(&|spec| spec.upstreams.clear()).starts_with("EnvoySpec.upstreams"));
    assert!(refused(&|spec| spec.default_cluster = Some("x".into())).contains("default_cluster: 'x'"));
    let twice = vec![ListenerSpec::plain("a"), ListenerSpec::plain("a")];
    assert!(refused(&|spec| spec.listeners = twice.clone()).contains("'a' is used twice"));
    let slash = vec![ListenerSpec::plain("a/b")];
    assert!(refused(&|spec| spec.listeners = slash.clone()).contains("found 'a/b'"));
    let absent = vec![ListenerSpec::seqroute("a", "/nowhere/a.json")];
    assert!(refused(&|spec| spec.listeners = absent.clone()).contains("no ECDS file /nowhere/a.json"));
}

#[test]
fn money_guards_of_the_shipped_file_are_in_place() {
    let shipped = shipped().unwrap();
    let http = shipped["static_resources"]["listeners"][0].pointer(HCM).unwrap();
    let names: Vec<_> = http["http_filters"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    let order = [&[FILTER_NAME][..], &SHIPPED].concat();
    assert_eq!(names, order, "the decompressors come after the filter, so that answers arrive decoded");
    let route = http.pointer("/route_config/virtual_hosts/0/routes/0/route").unwrap();
    assert_eq!(route["cluster_header"], CLUSTER_HEADER);
    let retries = route["retry_policy"]["retry_on"].as_str().unwrap();
    assert!(!retries.contains("5xx"), "a retried answer may be billed twice");
    assert_eq!(http["http_protocol_options"]["enable_trailers"], true);
    assert_eq!(shipped["admin"]["address"]["socket_address"]["address"], "127.0.0.1");
    let listener = &shipped["static_resources"]["listeners"][0];
    assert_eq!(listener["address"]["socket_address"]["address"], "127.0.0.1", "nobody is authenticated");
    for cluster in shipped["static_resources"]["clusters"].as_array().unwrap() {
        let options = cluster["typed_extension_protocol_options"].as_object().unwrap();
        let options = options.values().next().unwrap();
        let http1 = &options["explicit_http_config"]["http_protocol_options"];
        assert_eq!(http1["enable_trailers"], true, "cluster {}", cluster["name"]);
    }
}
