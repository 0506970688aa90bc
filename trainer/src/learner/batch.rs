//! Batches of transitions on the device.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::hbr::Transitions;

/// One batch; `plain_*` are on the device without gradients.
#[derive(Clone, Debug)]
pub struct Batch {
    /// States, normalised.
    pub states: Tensor<2>,
    /// Models that the mask forbids.
    pub forbidden: Tensor<2, Bool>,
    /// The models that answered.
    pub actions: Tensor<2, Int>,
    /// Their quality.
    pub plain_qualities: Tensor<2>,
    /// 1 where the session is bankrupt afterwards.
    pub plain_bankrupt: Tensor<2>,
    /// Their cost as a share of the budget.
    pub plain_costs: Tensor<2>,
    /// λ of the replay.
    pub plain_lambdas: Tensor<2>,
    /// States before the next turn.
    pub plain_next_states: Tensor<2>,
    /// Models that are forbidden there.
    pub plain_next_forbidden: Tensor<2, Bool>,
    /// 0 where the session ends.
    pub plain_continues: Tensor<2>,
    /// Number of models.
    pub models: usize,
}

/// Transitions in a random order.
#[derive(Debug)]
pub struct Rows {
    data: Transitions,
    order: Vec<u32>,
}

impl Rows {
    /// Shuffles; with `only_taken`, only rows that the behaviour took.
    #[must_use]
    pub fn shuffled(data: Transitions, only_taken: bool, seed: u64, epoch: u64) -> Rows {
        let rows = (0..data.len()).filter(|row| !only_taken || data.taken[*row]);
        let mut order: Vec<u32> = rows.filter_map(|row| u32::try_from(row).ok()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX / 2 + epoch);
        order.shuffle(&mut rng);
        Rows { data, order }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The transitions, in their own order.
    #[must_use]
    pub fn transitions(&self) -> &Transitions {
        &self.data
    }

    /// The batch of the rows `from..to` of the order.
    #[must_use]
    pub fn batch(&self, from: usize, to: usize, plain: &Device, device: &Device) -> Batch {
        let (data, order) = (&self.data, self.order.get(from..to).unwrap_or_default());
        let (models, features, count) = (data.models, data.features, order.len());
        let rows = || order.iter().map(|row| *row as usize);
        let wide = |values: &[f32], width: usize, device: &Device| -> Tensor<2> {
            let mut piece = Vec::with_capacity(count * width);
            rows().for_each(|row| piece.extend_from_slice(&values[row * width..(row + 1) * width]));
            Tensor::from_data(TensorData::new(piece, [count, width]), device)
        };
        let forbidden = |values: &[bool], device: &Device| -> Tensor<2, Bool> {
            let piece: Vec<bool> = rows()
                .flat_map(|row| &values[row * models..(row + 1) * models])
                .map(|allowed| !allowed)
                .collect();
            Tensor::from_data(TensorData::new(piece, [count, models]), device)
        };
        let flags = |values: &[bool], one: bool| -> Tensor<2> {
            let piece: Vec<f32> = rows().map(|row| if values[row] == one { 1.0 } else { 0.0 }).collect();
            Tensor::from_data(TensorData::new(piece, [count, 1]), plain)
        };
        let actions: Vec<i64> = rows().map(|row| i64::from(data.actions[row])).collect();
        Batch {
            states: wide(&data.states, features, device),
            forbidden: forbidden(&data.masks, device),
            actions: Tensor::from_data(TensorData::new(actions, [count, 1]), device),
            plain_qualities: wide(&data.qualities, 1, plain),
            plain_bankrupt: flags(&data.bankrupt, true),
            plain_costs: wide(&data.costs, 1, plain),
            plain_lambdas: wide(&data.lambdas, 1, plain),
            plain_next_states: wide(&data.next_states, features, plain),
            plain_next_forbidden: forbidden(&data.next_masks, plain),
            plain_continues: flags(&data.terminal, false),
            models,
        }
    }
}
