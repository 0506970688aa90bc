//! Tests of policy archives: what is written opens, and every kind of damage is refused with its own line.

use super::*;
use crate::money::NanoUsd;
use crate::prices::Prices;
use manifest::TrainedModel;
use proptest::prelude::*;
use write::{Front, Layer, NetworkWeights};

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|k| (((k * 37 + seed * 11) % 19) as f32 - 9.0) / 10.0).collect()
}

fn network(models: usize) -> NetworkWeights {
    let inputs = features::names(models).len();
    let layer = |out: usize, width: usize, seed: usize| Layer {
        weights: numbers(out * width, seed),
        biases: numbers(out, seed + 1),
    };
    NetworkWeights {
        mean: numbers(inputs, 1),
        std: vec![2.0; inputs],
        front: Some(Front {
            linear: layer(6, inputs, 6),
            detour: Some([layer(4, inputs, 7), layer(6, 4, 8)]),
        }),
        hidden: vec![layer(8, 6, 2), layer(5, 8, 3)],
        quality: layer(models, 5, 4),
        cost: layer(models, 5, 5),
    }
}

fn manifest_of(models: usize) -> Manifest {
    let prices = Prices { input_pico_usd_per_token: 1, output_pico_usd_per_token: 1, ..Prices::default() };
    let model = |k| TrainedModel {
        name: format!("m{k}"),
        prices,
        expected_output_tokens: 10,
        upper_output_tokens: 20,
    };
    let features = features::names(models);
    Manifest {
        schema_version: SCHEMA_VERSION,
        name: "test".to_owned(),
        features_sha256: features::names_sha256(&features),
        features,
        models: (0..models).map(model).collect(),
        learner: serde_json::json!({"algorithm": "none"}),
        budget_range_nano_usd: [NanoUsd(1), NanoUsd(2)],
        data_sha256: "0".repeat(64),
        sha256: String::new(),
    }
}

fn valid() -> Vec<u8> {
    write::archive(&network(3), manifest_of(3)).unwrap()
}

/// The files of an archive, changed, as an archive again, with the manifest's hash made right if `rehash`.
fn changed(rehash: bool, change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(&valid()[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        files.push((entry.path().unwrap().to_string_lossy().into_owned(), bytes));
    }
    change(&mut files);
    if rehash {
        let mut sorted: Vec<_> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        sorted.sort();
        let hash = archive::content_sha256(sorted.into_iter());
        let (_, json) = files.iter_mut().find(|(path, _)| path == manifest::FILE_NAME).unwrap();
        let mut value: serde_json::Value = serde_json::from_slice(json).unwrap();
        value["sha256"] = hash.into();
        *json = value.to_string().into_bytes();
    }
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn edit<'a>(files: &'a mut [(String, Vec<u8>)], path: &str) -> &'a mut Vec<u8> {
    &mut files.iter_mut().find(|(name, _)| name == path).unwrap().1
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

fn error_of(tar: &[u8]) -> String {
    let error = Policy::open(tar).unwrap_err().to_string();
    assert!(!error.contains('\n') || error.len() < 400, "{error}");
    error
}

/// The network by hand, in `f64`.
fn by_hand(network: &NetworkWeights, state: &[f32]) -> [Vec<f64>; 2] {
    let apply = |layer: &Layer, x: &[f64]| -> Vec<f64> {
        let rows = layer.weights.chunks(x.len()).zip(&layer.biases);
        rows.map(|(row, bias)| {
            row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(*bias)
        })
        .collect()
    };
    let scaled = state.iter().zip(&network.mean).zip(&network.std);
    let mut x: Vec<f64> = scaled.map(|((x, m), s)| (f64::from(*x) - f64::from(*m)) / f64::from(*s)).collect();
    if let Some(Front { linear, detour }) = &network.front {
        let direct = apply(linear, &x);
        let added = detour.as_ref().map(|[inner, outer]| {
            let bent: Vec<f64> = apply(inner, &x).into_iter().map(|z| z.max(0.0)).collect();
            apply(outer, &bent)
        });
        x = direct
            .iter()
            .enumerate()
            .map(|(k, value)| value + added.as_ref().map_or(0.0, |a| a[k]))
            .collect();
    }
    for layer in &network.hidden {
        x = apply(layer, &x).into_iter().map(|z| z.max(0.0)).collect();
    }
    [apply(&network.quality, &x), apply(&network.cost, &x)]
}

#[test]
fn what_is_written_opens_and_computes_the_network() {
    for models in [1, 3, MAX_MODELS] {
        let tar = write::archive(&network(models), manifest_of(models)).unwrap();
        let policy = Policy::open(&tar).unwrap();
        let state = numbers(features::names(models).len(), 7);
        let values = policy.values(&state).unwrap();
        let [quality, cost] = by_hand(&network(models), &state);
        for k in 0..models {
            for (served, expected) in [(values.quality[k], quality[k]), (values.cost[k], cost[k])] {
                let difference = (f64::from(served) - expected).abs();
                assert!(difference < 1e-5 * (1.0 + expected.abs()), "{served} instead of {expected}");
            }
        }
        assert!(policy.id().starts_with("test@"));
    }
}

#[test]
fn a_front_without_a_detour_is_linear() {
    let mut network = network(2);
    if let Some(front) = &mut network.front {
        front.detour = None;
    }
    let policy = Policy::open(&write::archive(&network, manifest_of(2)).unwrap()).unwrap();
    let state = numbers(features::names(2).len(), 7);
    let (served, [quality, _]) = (policy.values(&state).unwrap(), by_hand(&network, &state));
    assert!((f64::from(served.quality[1]) - quality[1]).abs() < 1e-5 * (1.0 + quality[1].abs()));
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    assert_eq!(valid(), valid());
}

#[test]
fn a_truncated_archive_is_refused_at_any_length() {
    let tar = valid();
    for length in (0..tar.len() - 1024).step_by(97) {
        assert!(Policy::open(&tar[..length]).is_err(), "{length} of {} bytes", tar.len());
    }
}

#[test]
fn every_kind_of_damage_has_its_own_error() {
    type Change = fn(&mut Vec<(String, Vec<u8>)>);
    let manifest = manifest::FILE_NAME;
    let cases: [(bool, Change, &str); 17] = [
        (
            true,
            |f| replace(edit(f, manifest::FILE_NAME), "\"schema_version\": 1", "\"schema_version\": 2"),
            "`schema_version`: found 2, expected 1",
        ),
        (
            true,
            |f| replace(edit(f, manifest::FILE_NAME), "turn_ln", "turn_log"),
            "`features[0]`: found `turn_log`, expected `turn_ln`",
        ),
        (
            true,
            |f| replace(edit(f, manifest::FILE_NAME), "\"name\": \"test\"", "\"name\": \"te st\""),
            "manifest `name`",
        ),
        (false, |f| edit(f, "fc1/bias.dat")[130] ^= 1, "manifest `sha256`"),
        (true, |f| f.retain(|(path, _)| path != "fc1/bias.dat"), "`fc1/bias.dat` is missing"),
        (true, |f| f.retain(|(path, _)| path != "graph.nnef"), "`graph.nnef` is missing"),
        (true, |f| edit(f, "fc1/bias.dat")[128..132].copy_from_slice(&f32::NAN.to_le_bytes()), "not finite"),
        (true, |f| edit(f, "fc1/bias.dat")[16] = 99, "bytes of data for the shape"),
        (true, |f| edit(f, "fc1/bias.dat").truncate(100), "shorter than its header"),
        (true, |f| replace(edit(f, "graph.nnef"), "relu(", "sigmoid("), "operation `sigmoid`"),
        (
            true,
            |f| replace(edit(f, "graph.nnef"), "graph ", "extension tract_registry tract_core;\ngraph "),
            "extensions",
        ),
        (
            true,
            |f| replace(edit(f, "graph.nnef"), "shape = [1, 529]", "shape = [1, 4294967295]"),
            "literal shape",
        ),
        (true, |f| replace(edit(f, "graph.nnef"), "linear(h0", "linear(((((h0)))))"), "nest deeper"),
        // The engine would panic for the first of these.
        (true, |f| replace(edit(f, "graph.nnef"), "centred = sub", "() = sub"), "expected one name"),
        (
            true,
            |f| replace(edit(f, "graph.nnef"), "centred = sub", "[centred, more] = sub"),
            "expected one name",
        ),
        // The engine's parser would take minutes for this.
        (
            true,
            |f| replace(edit(f, "graph.nnef"), "= linear", "= ------------------------------ linear"),
            "found `-`",
        ),
        (
            true,
            |f| replace(edit(f, "graph.nnef"), "-> (quality, cost)", "-> (quality)"),
            "expected [1, 529] to twice [1, 3]",
        ),
    ];
    for (rehash, change, expected) in cases {
        let error = error_of(&changed(rehash, change));
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
    assert!(
        error_of(&changed(false, |f| f.retain(|(path, _)| path != manifest)))
            .contains("`seqroute.json` is missing")
    );
    assert!(error_of(&vec![0; archive::MAX_ARCHIVE_BYTES + 1]).contains("expected at most"));
}

#[test]
fn links_and_paths_outside_are_refused() {
    for path in ["../evil.dat", "/etc/passwd", "a/b/c.dat", ".hidden"] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
        let error = error_of(&builder.into_inner().unwrap());
        assert!(error.contains("expected regular files"), "{error}");
    }
}

#[test]
fn a_policy_for_other_models_is_refused() {
    let policy = Policy::open(&valid()).unwrap();
    let config =
        crate::config::Config::from_json(crate::config::tests::example().to_string().as_bytes()).unwrap();
    let error = policy.check_models(&config.models).unwrap_err().to_string();
    assert!(error.contains(r#"["m0", "m1", "m2"]"#) && error.contains(r#"["small", "large"]"#), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_archive_with_any_bytes_changed_opens_or_is_refused(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..20),
    ) {
        let mut tar = valid();
        let length = tar.len();
        for (at, byte) in changes {
            tar[at % length] = byte;
        }
        let _ = Policy::open(&tar);
    }

    #[test]
    fn a_graph_with_any_text_changed_opens_or_is_refused(at in 0usize..2000, with in "[ -~\n]{0,8}") {
        let tar = changed(true, |files| {
            let graph = edit(files, "graph.nnef");
            let at = at % graph.len();
            let end = (at + with.len()).min(graph.len());
            graph.splice(at..end, with.bytes());
        });
        let _ = Policy::open(&tar);
    }
}
