//! Graphs inside an archive with the right hash: only the checks of the graph itself protect the engine from them.
//!
//! The input is the text of `graph.nnef`; manifest and tensors are the shipped policy's.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seqroute_core::policy::Policy;
use seqroute_core::policy::archive::{GRAPH, content_sha256};
use seqroute_core::policy::manifest;

static SHIPPED: &[u8] = include_bytes!("../../../envoy/policy/default.nnef.tar");

static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let mut archive = tar::Archive::new(SHIPPED);
    let entries = archive.entries().expect("a tar file");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let (path, mut bytes) = (entry.path().expect("a path").display().to_string(), Vec::new());
            entry.read_to_end(&mut bytes).expect("its bytes");
            (path, bytes)
        })
        .collect()
});

fn archive_with_graph(graph: &[u8]) -> Vec<u8> {
    let mut files = FILES.clone();
    files.insert(GRAPH.to_owned(), graph.to_vec());
    let hash = content_sha256(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let json = files.get_mut(manifest::FILE_NAME).expect("a manifest");
    let mut value: serde_json::Value = serde_json::from_slice(json).expect("a manifest of JSON");
    value["sha256"] = hash.into();
    *json = value.to_string().into_bytes();
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in &files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes.as_slice()).expect("a tar in memory");
    }
    tar.into_inner().expect("a tar in memory")
}

fuzz_target!(|graph: &[u8]| {
    if let Ok(policy) = Policy::open(&archive_with_graph(graph)) {
        let state = vec![0.5; policy.manifest().features.len()];
        let _ = policy.values(&state);
    }
});
