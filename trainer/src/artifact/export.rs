//! From the learner's network and the text head to one graph on the filter's features.

use seqroute_core::decide::features::TEXT_BLOCK;
use seqroute_core::policy::write::{Front, Layer, NetworkWeights};

use super::Trained;
use crate::network::Normalisation;
use crate::text_head::TextHead;

/// The weights as the archive stores them: `[out, in]`, one layer per head. In front stand the normalisation and a layer
/// that passes the features on and appends the text head's predictions, which together are the learner's state.
pub(super) fn weights(network: &Trained<'_>) -> NetworkWeights {
    let Trained { parameters, normalisation, head } = *network;
    let models = parameters.outputs() / 2;
    let hidden = parameters.hidden_layers();
    let [quality, cost] = heads(parameters.layer(hidden), models);
    let plain = normalisation.mean.len().saturating_sub(2 * models);
    let of_text = |number: f32| vec![number; TEXT_BLOCK];
    let extended = |numbers: &[f32], number: f32| [&numbers[..plain], &of_text(number)].concat();
    NetworkWeights {
        mean: extended(&normalisation.mean, 0.0),
        std: extended(&normalisation.std, 1.0),
        front: Some(front(normalisation, head, plain)),
        hidden: (0..hidden).map(|number| parameters.layer(number)).collect(),
        quality,
        cost,
    }
}

/// Splits the output layer into the quality head and the cost head.
fn heads(mut outputs: Layer, models: usize) -> [Layer; 2] {
    let inputs = outputs.weights.len() / outputs.biases.len().max(1);
    let mut cost = Layer {
        weights: outputs.weights.split_off(models * inputs),
        biases: outputs.biases.split_off(models),
    };
    cost.weights.truncate(models * inputs);
    cost.biases.truncate(models);
    [outputs, cost]
}

/// The first `plain` rows copy one feature each; the others compute the text head's predictions, already
/// normalised.
fn front(normalisation: &Normalisation, head: &TextHead, plain: usize) -> Front {
    let inputs = plain + TEXT_BLOCK;
    let copies = (0..plain).flat_map(|k| (0..inputs).map(move |input| if input == k { 1.0 } else { 0.0 }));
    let mut linear = Layer { weights: copies.collect(), biases: vec![0.0; plain] };
    let scales: Vec<(f32, f32)> =
        normalisation.mean.iter().copied().zip(normalisation.std.iter().copied()).skip(plain).collect();
    for ((mean, std), ((weights, bias), absent)) in
        scales.iter().zip(head.weights.iter().zip(&head.biases).zip(&head.absent))
    {
        linear.weights.extend(std::iter::repeat_n(0.0, plain));
        linear.weights.push(absent / std);
        linear.weights.extend(weights.iter().map(|weight| weight / std));
        linear.biases.push((bias - mean) / std);
    }
    let detour = head.topics.as_ref().map(|topics| {
        let width = topics.inner.biases.len();
        let words = topics.inner.weights.chunks_exact(topics.inner.weights.len() / width.max(1));
        let silent = vec![0.0; plain + 1];
        let inner = words.flat_map(|row| silent.iter().chain(row).copied()).collect();
        let outer = topics.outer.weights.chunks_exact(width.max(1)).zip(&scales);
        let outer = outer.flat_map(|(row, (_, std))| row.iter().map(move |weight| weight / std));
        let outer_biases = topics.outer.biases.iter().zip(&scales).map(|(bias, (_, std))| bias / std);
        [
            Layer { weights: inner, biases: topics.inner.biases.clone() },
            Layer {
                weights: vec![0.0; plain * width].into_iter().chain(outer).collect(),
                biases: vec![0.0; plain].into_iter().chain(outer_biases).collect(),
            },
        ]
    });
    Front { linear, detour }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Parameters;
    use crate::text_head::Topics;

    fn head(models: usize) -> TextHead {
        let weights = (0..2 * models).map(|k| vec![0.1 * k as f32; TEXT_BLOCK - 1]).collect();
        let topics = Topics {
            inner: Layer { weights: vec![2.0; 3 * (TEXT_BLOCK - 1)], biases: vec![0.25; 3] },
            outer: Layer { weights: vec![4.0; 2 * models * 3], biases: vec![0.5; 2 * models] },
        };
        TextHead {
            topics: Some(topics),
            weights,
            biases: vec![0.5; 2 * models],
            absent: vec![0.25; 2 * models],
        }
    }

    #[test]
    fn the_text_head_stands_in_front_and_the_heads_are_split() {
        let parameters = Parameters::draw(7, &[4, 3], 4, 1);
        let normalisation = Normalisation { mean: vec![1.0; 7], std: vec![2.0; 7] };
        let head = head(2);
        let exported =
            weights(&Trained { parameters: &parameters, normalisation: &normalisation, head: &head });
        assert_eq!(exported.hidden.len(), 2);
        assert_eq!(exported.hidden[0].weights, parameters.layer(0).weights);
        assert_eq!((exported.quality.weights.len(), exported.cost.biases.len()), (6, 2));
        let outputs = parameters.layer(2).weights;
        assert_eq!([exported.quality.weights, exported.cost.weights].concat(), outputs);
        let (front, inputs) = (exported.front.unwrap(), 3 + TEXT_BLOCK);
        let linear = &front.linear;
        assert_eq!((exported.mean.len(), linear.weights.len(), linear.biases.len()), (inputs, 7 * inputs, 7));
        assert_eq!((linear.weights[0], linear.weights[1], linear.weights[inputs + 1]), (1.0, 0.0, 1.0));
        assert_eq!(linear.weights[4 * inputs..][2..5], [0.0, 0.125, 0.05]);
        assert_eq!(linear.biases[3..], [-0.25; 4]);
        let [inner, outer] = front.detour.unwrap();
        assert_eq!(inner.weights[..5], [0.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!((outer.weights.len(), outer.weights[8], outer.weights[9]), (7 * 3, 0.0, 2.0));
        assert_eq!((outer.biases[2], outer.biases[3]), (0.0, 0.25));
    }
}
