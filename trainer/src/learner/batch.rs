//! Batches of states on the device, each with its observed answers.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::hbr::Transitions;
use crate::learner::Learner;

/// One batch of G states with R observed answers of K models; `plain_*` are on the device without gradients.
#[derive(Clone, Debug)]
pub struct Batch {
    /// States, normalised, `[G, features]`.
    pub states: Tensor<2>,
    /// Models that the mask forbids, `[G, K]`.
    pub forbidden: Tensor<2, Bool>,
    /// 1 where an answer was observed, `[G, K]`; the tensors below are meaningless elsewhere.
    pub plain_observed: Tensor<2>,
    /// Quality of the answers, `[G, K]`.
    pub plain_qualities: Tensor<2>,
    /// 1 where the session is bankrupt afterwards, `[G, K]`.
    pub plain_bankrupt: Tensor<2>,
    /// Cost of the answers as a share of the budget, `[G, K]`.
    pub plain_costs: Tensor<2>,
    /// 0 where the session ends, else 1, `[G, K]`.
    pub plain_continues: Tensor<2>,
    /// The states after the observed answers, `[R, features]`.
    pub plain_next_states: Tensor<2>,
    /// Models that are forbidden there, `[R, K]`.
    pub plain_next_forbidden: Tensor<2, Bool>,
    /// λ of their replays, `[R, 1]`.
    pub plain_next_lambdas: Tensor<2>,
    /// For each entry of `[G, K]`, the index among the R answers, `[G · K]`; 0 where none was observed.
    pub plain_places: Tensor<1, Int>,
    /// By state: number of its logged turn ([`Transitions::logged_turns`]) within the batch, rising from 0.
    pub logged_turns: Vec<usize>,
    /// Number of models.
    pub models: usize,
    /// Observed answers.
    pub rows: usize,
}

/// Transitions in a random order of their states.
#[derive(Debug)]
pub struct Rows {
    data: Transitions,
    order: Vec<u32>,
    /// Ends of the states in the order, rising.
    ends: Vec<u32>,
}

impl Rows {
    /// Shuffles the states that the learner uses. If it pairs, two states of a logged turn follow each other; only two,
    /// because a batch needs many logged turns.
    #[must_use]
    pub fn shuffled(data: Transitions, learner: &dyn Learner, seed: u64, epoch: u64) -> Rows {
        let mut states: Vec<Vec<u32>> = Vec::new();
        for (row, new_state) in (0u32..).zip(&data.new_state) {
            if *new_state {
                states.push(Vec::with_capacity(data.models));
            }
            let wanted = !learner.only_taken() || data.taken[row as usize];
            if let Some(state) = states.last_mut().filter(|_| wanted) {
                state.push(row);
            }
        }
        states.retain(|rows| !rows.is_empty());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX / 2 + epoch);
        let logged_turn = |state: &Vec<u32>| state.first().map(|row| data.logged_turns[*row as usize]);
        let mut together: Vec<&[Vec<u32>]> = if learner.pairs() {
            states.shuffle(&mut rng);
            states.sort_by_key(logged_turn);
            let of_logged_turns = states.chunk_by(|state, next| logged_turn(state) == logged_turn(next));
            of_logged_turns.flat_map(|states| states.chunks(2)).collect()
        } else {
            states.chunks(1).collect()
        };
        together.shuffle(&mut rng);
        let mut ends = Vec::with_capacity(states.len());
        let mut order = Vec::with_capacity(data.len());
        for state in together.into_iter().flatten() {
            order.extend(state);
            ends.extend(u32::try_from(order.len()));
        }
        Rows { data, order, ends }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The transitions, in their own order.
    #[must_use]
    pub fn transitions(&self) -> &Transitions {
        &self.data
    }

    /// The last position at or before `at` where a state ends, in rows of the order; 0 before the first.
    #[must_use]
    pub fn boundary(&self, at: usize) -> usize {
        let before = self.ends.partition_point(|end| *end as usize <= at);
        before.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| *end as usize)
    }

    /// The last position at or before `at` where a logged turn ends, in rows of the order; 0 before the first.
    #[must_use]
    pub fn logged_turn_boundary(&self, at: usize) -> usize {
        let logged_turn =
            |place: usize| self.order.get(place).map(|row| self.data.logged_turns[*row as usize]);
        let mut place = self.boundary(at);
        while place > 0 && logged_turn(place - 1) == logged_turn(place) {
            place -= 1;
        }
        place
    }

    /// The batch of the rows `from..to` of the order; both are ends of states.
    #[must_use]
    pub fn batch(&self, from: usize, to: usize, plain: &Device, device: &Device) -> Batch {
        let (data, order) = (&self.data, self.order.get(from..to).unwrap_or_default());
        let (models, features, count) = (data.models, data.features, order.len());
        let first = self.ends.partition_point(|end| (*end as usize) <= from);
        let starts = self.ends.iter().skip(first).map(|end| *end as usize).take_while(|end| *end < to);
        let starts: Vec<usize> = [from].into_iter().chain(starts).map(|start| start - from).collect();
        let states = starts.len();
        let first_row = |start: &usize| order.get(*start).map_or(0, |row| *row as usize);
        let mut logged_turns = vec![0; states];
        for (at, pair) in starts.windows(2).enumerate() {
            let [before, this] = [0, 1].map(|k| data.logged_turns[first_row(&pair[k])]);
            logged_turns[at + 1] = logged_turns[at] + usize::from(before != this);
        }
        // Place of every row in `[G, K]`.
        let mut state = 0;
        let places: Vec<usize> = order
            .iter()
            .enumerate()
            .map(|(at, row)| {
                state += usize::from(starts.get(state + 1) == Some(&at));
                state * models + usize::from(data.actions[*row as usize])
            })
            .collect();
        let rows = || order.iter().map(|row| *row as usize);
        let first_rows = || starts.iter().map(first_row);
        let wide = |values: &[f32], rows: &mut dyn Iterator<Item = usize>, width: usize, device: &Device| {
            let mut piece = Vec::with_capacity(count * width);
            rows.for_each(|row| piece.extend_from_slice(&values[row * width..(row + 1) * width]));
            let shape = [piece.len() / width.max(1), width];
            Tensor::<2>::from_data(TensorData::new(piece, shape), device)
        };
        let forbidden = |values: &[bool], rows: &mut dyn Iterator<Item = usize>, device: &Device| {
            let piece: Vec<bool> = rows
                .flat_map(|row| &values[row * models..(row + 1) * models])
                .map(|allowed| !allowed)
                .collect();
            let shape = [piece.len() / models.max(1), models];
            Tensor::<2, Bool>::from_data(TensorData::new(piece, shape), device)
        };
        let placed = |of: &dyn Fn(usize) -> f32| {
            let mut piece = vec![0f32; states * models];
            rows().zip(&places).for_each(|(row, place)| piece[*place] = of(row));
            Tensor::<2>::from_data(TensorData::new(piece, [states, models]), plain)
        };
        let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
        let mut back = vec![0i64; states * models];
        places.iter().zip(0i64..).for_each(|(place, row)| back[*place] = row);
        Batch {
            states: wide(&data.states, &mut first_rows(), features, device),
            forbidden: forbidden(&data.masks, &mut first_rows(), device),
            plain_observed: placed(&|_| 1.0),
            plain_qualities: placed(&|row| data.qualities[row]),
            plain_bankrupt: placed(&|row| flag(data.bankrupt[row])),
            plain_costs: placed(&|row| data.costs[row]),
            plain_continues: placed(&|row| flag(!data.terminal[row])),
            plain_next_states: wide(&data.next_states, &mut rows(), features, plain),
            plain_next_forbidden: forbidden(&data.next_masks, &mut rows(), plain),
            plain_next_lambdas: wide(&data.lambdas, &mut rows(), 1, plain),
            plain_places: Tensor::from_data(TensorData::new(back, [states * models]), plain),
            logged_turns,
            models,
            rows: count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    use crate::hbr::{self, HbrConfig};
    use crate::learner::bc::{Bc, BcConfig};
    use crate::learner::fqi::{Fqi, FqiConfig};
    use crate::network::numbers;
    use seqroute_sessions::simulator::{Simulator, tiers};

    fn rows(learner: &dyn Learner) -> Rows {
        let sessions = Simulator::new(1).sessions(20);
        let data = hbr::relabel(&sessions, &tiers(), &HbrConfig::default(), 1).unwrap();
        Rows::shuffled(data, learner, 1, 0)
    }

    /// Fitted Q iteration with a weight of the paired loss.
    fn fqi(paired_weight: f32) -> Fqi {
        Fqi(FqiConfig { paired_weight, ..FqiConfig::default() })
    }

    #[test]
    fn the_answers_of_one_state_stay_together() {
        let rows = rows(&fqi(0.0));
        assert_eq!((rows.len(), rows.boundary(rows.len())), (rows.transitions().len(), rows.len()));
        let to = rows.boundary(100);
        assert!((98..=100).contains(&to));
        let batch = rows.batch(0, to, &Device::flex(), &Device::flex());
        let [states, _] = batch.states.dims();
        let observed = numbers(batch.plain_observed).unwrap();
        assert_eq!(observed.iter().sum::<f32>() as usize, to);
        assert!(states < to && observed.chunks(3).all(|state| state.contains(&1.0)));
        // Every observed place leads back to its own row.
        let qualities = numbers(batch.plain_qualities).unwrap();
        let costs = numbers(batch.plain_costs).unwrap();
        for (place, at) in numbers(batch.plain_places.float()).unwrap().iter().enumerate() {
            if observed[place] == 1.0 {
                let row = rows.order[*at as usize] as usize;
                assert_eq!(usize::from(rows.data.actions[row]), place % 3);
                assert_eq!(
                    (qualities[place], costs[place]),
                    (rows.data.qualities[row], rows.data.costs[row])
                );
            }
        }
    }

    #[test]
    fn a_learner_that_pairs_gets_two_states_of_a_logged_turn_next_to_each_other() {
        let rows = rows(&fqi(1.0));
        let logged_turns: Vec<u64> =
            rows.order.iter().map(|row| rows.data.logged_turns[*row as usize]).collect();
        let starts = [0].into_iter().chain(rows.ends.iter().map(|end| *end as usize));
        let of_states: Vec<u64> = starts.take(rows.ends.len()).map(|start| logged_turns[start]).collect();
        let different: HashSet<&u64> = of_states.iter().collect();
        // All states but the odd one of a logged turn have a neighbour of the same logged turn.
        let has_neighbour = |at: &usize| {
            let around = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
            around.filter_map(|other| of_states.get(other)).any(|other| *other == of_states[*at])
        };
        let paired = (0..of_states.len()).filter(has_neighbour).count();
        assert!(paired >= of_states.len() - different.len());
        assert!(different.len() < of_states.len() / 4);
        assert!(!logged_turns.is_sorted());
        // The batch numbers them in its own order, one number per state.
        let to = rows.boundary(200);
        let batch = rows.batch(0, to, &Device::flex(), &Device::flex());
        let pieces = logged_turns[..to].chunk_by(|one, next| one == next).count();
        assert_eq!(batch.logged_turns.len(), batch.states.dims()[0]);
        assert_eq!((batch.logged_turns[0], batch.logged_turns.last()), (0, Some(&(pieces - 1))));
        assert!(batch.logged_turns.is_sorted());
        let cut = rows.logged_turn_boundary(to);
        assert!(cut <= to && logged_turns[cut - 1] != logged_turns[cut]);
        assert!(logged_turns[cut..to].iter().all(|logged_turn| *logged_turn == logged_turns[cut]));
    }

    #[test]
    fn the_behaviours_actions_are_one_row_per_state() {
        let rows = rows(&Bc(BcConfig::default()));
        assert_eq!(rows.ends.len(), rows.len());
        assert_eq!(rows.len(), rows.transitions().taken.iter().filter(|taken| **taken).count());
    }
}
