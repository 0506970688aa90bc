//! Writes a policy archive: flat NNEF that tract, and any other reader of NNEF 1.0, opens.
//!
//! The same network always gives the same bytes: fixed order, fixed times, no owner.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::policy::archive::{DAT_HEADER_BYTES, GRAPH, content_sha256};
use crate::policy::error::PolicyError;
use crate::policy::manifest::{self, Manifest};

/// NNEF counts from here (1980-01-01), the earliest time every archive tool accepts.
const MTIME_S: u64 = 315_532_800;

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Weights `[out, in]`, row by row.
    pub weights: Vec<f32>,
    /// Biases `[out]`.
    pub biases: Vec<f32>,
}

/// A network: normalisation, an optional front, hidden layers with ReLU, two linear heads on the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkWeights {
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Divisor of each feature, above 0. A feature that never varied in training gets a huge one, so that its weight is
    /// effectively zero.
    pub std: Vec<f32>,
    /// Maps many inputs (the text features) to few, before the hidden layers.
    pub front: Option<Front>,
    /// Hidden layers, from the input on.
    pub hidden: Vec<Layer>,
    /// Head for quality to go, `[models, hidden]`.
    pub quality: Layer,
    /// Head for spend to go, `[models, hidden]`.
    pub cost: Layer,
}

/// `linear(x)`, plus `detour[1](relu(detour[0](x)))` where there is a detour.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Layer without activation.
    pub linear: Layer,
    /// A hidden layer with ReLU on the same inputs, and what it adds to the outputs of `linear`.
    pub detour: Option<[Layer; 2]>,
}

/// The archive's bytes; fills in the manifest's `sha256`.
///
/// # Errors
/// [`PolicyError`] when the shapes do not fit each other.
pub fn archive(network: &NetworkWeights, mut manifest: Manifest) -> Result<Vec<u8>, PolicyError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let inputs = network.mean.len();
    let mut text = String::from("version 1.0;\n\ngraph seqroute_policy(state) -> (quality, cost)\n{\n");
    let line = |text: &mut String, line: &str| {
        writeln!(text, "  {line}").map_err(|error| PolicyError::Write(error.to_string()))
    };
    line(&mut text, &format!("state = external<scalar>(shape = [1, {inputs}]);"))?;
    let mut variable = |text: &mut String, id: &str, label: &str, shape: [usize; 2], values: &[f32]| {
        let declared =
            format!("{id} = variable<scalar>(label = '{label}', shape = [{}, {}]);", shape[0], shape[1]);
        files.insert(format!("{label}.dat"), dat(label, shape, values)?);
        line(text, &declared)
    };
    variable(&mut text, "mean", "norm/mean", [1, inputs], &network.mean)?;
    variable(&mut text, "std", "norm/std", [1, inputs], &network.std)?;
    let mut width = inputs;
    text.push_str("  centred = sub(state, mean);\n");
    if let Some(front) = &network.front {
        let out = front.linear.biases.len();
        variable(&mut text, "w_front", "front/filter", [out, width], &front.linear.weights)?;
        variable(&mut text, "b_front", "front/bias", [1, out], &front.linear.biases)?;
        text.push_str("  scaled = div(centred, std);\n");
        if let Some([inner, outer]) = &front.detour {
            let hidden = inner.biases.len();
            variable(&mut text, "w_inner", "front_inner/filter", [hidden, width], &inner.weights)?;
            variable(&mut text, "b_inner", "front_inner/bias", [1, hidden], &inner.biases)?;
            variable(&mut text, "w_outer", "front_outer/filter", [out, hidden], &outer.weights)?;
            variable(&mut text, "b_outer", "front_outer/bias", [1, out], &outer.biases)?;
            text.push_str(
                "  direct = linear(scaled, w_front, b_front);\n  inner = linear(scaled, w_inner, b_inner);\n  \
                 bent = relu(inner);\n  outer = linear(bent, w_outer, b_outer);\n  h0 = add(direct, outer);\n",
            );
        } else {
            text.push_str("  h0 = linear(scaled, w_front, b_front);\n");
        }
        width = out;
    } else {
        text.push_str("  h0 = div(centred, std);\n");
    }
    for (number, layer) in network.hidden.iter().enumerate().map(|(k, layer)| (k.saturating_add(1), layer)) {
        let (name, out) = (format!("fc{number}"), layer.biases.len());
        variable(&mut text, &format!("w{number}"), &format!("{name}/filter"), [out, width], &layer.weights)?;
        variable(&mut text, &format!("b{number}"), &format!("{name}/bias"), [1, out], &layer.biases)?;
        let last = number.saturating_sub(1);
        writeln!(
            text,
            "  z{number} = linear(h{last}, w{number}, b{number});\n  h{number} = relu(z{number});"
        )
        .map_err(|error| PolicyError::Write(error.to_string()))?;
        width = out;
    }
    let last = network.hidden.len();
    for (name, head) in [("quality", &network.quality), ("cost", &network.cost)] {
        let out = head.biases.len();
        variable(&mut text, &format!("w_{name}"), &format!("{name}/filter"), [out, width], &head.weights)?;
        variable(&mut text, &format!("b_{name}"), &format!("{name}/bias"), [1, out], &head.biases)?;
        writeln!(text, "  {name} = linear(h{last}, w_{name}, b_{name});")
            .map_err(|error| PolicyError::Write(error.to_string()))?;
    }
    text.push_str("}\n");
    files.insert(GRAPH.to_owned(), text.into_bytes());
    manifest.sha256 = content_sha256(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let json = serde_json::to_vec_pretty(&manifest).map_err(|error| PolicyError::Write(error.to_string()))?;
    tar(&json, &files).map_err(|error| PolicyError::Write(error.to_string()))
}

/// A NNEF tensor file (NNEF 1.0.5, section 6): header, then little-endian floats.
fn dat(label: &str, shape: [usize; 2], values: &[f32]) -> Result<Vec<u8>, PolicyError> {
    let bad =
        || PolicyError::Write(format!("`{label}`: {} values do not fit the shape {shape:?}", values.len()));
    let [rows, columns] = shape;
    if rows.checked_mul(columns) != Some(values.len()) || values.is_empty() {
        return Err(bad());
    }
    let word = |number: usize| u32::try_from(number).map(u32::to_le_bytes).map_err(|_| bad());
    let mut bytes = vec![0x4e, 0xef, 1, 0];
    bytes.extend_from_slice(&word(values.len().saturating_mul(4))?);
    bytes.extend_from_slice(&word(2)?);
    for dimension in [rows, columns, 0, 0, 0, 0, 0, 0] {
        bytes.extend_from_slice(&word(dimension)?);
    }
    bytes.extend_from_slice(&word(32)?);
    bytes.resize(DAT_HEADER_BYTES, 0);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

fn tar(manifest: &[u8], files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let graph = files
        .iter()
        .filter(|(path, _)| *path == GRAPH)
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    let tensors = files
        .iter()
        .filter(|(path, _)| *path != GRAPH)
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in graph.chain([(manifest::FILE_NAME, manifest)]).chain(tensors) {
        let mut header = tar::Header::new_ustar();
        header.set_path(path)?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(MTIME_S);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        builder.append(&header, bytes)?;
    }
    builder.into_inner()
}
