//! The state a policy sees: names, units and the one definition of every feature.
//!
//! Only what a gateway knows before the answer. Money enters as ratios (how many turns of model k the rest would
//! pay), so a policy is unchanged when all prices and the budget are multiplied by one number, and follows when one
//! price moves. Normalisation is not done here: it is part of the policy's graph.
//!
//! The order is: the session block ([`SESSION_FEATURES`]), then for each model k the block `m{k}_*`
//! ([`MODEL_FEATURES`]), then the text block: `text_absent`, which is 1 where no text was seen, and one number per
//! bucket, `text_000` and so on ([`TextFeatures::scaled`]). [`names`] lists them; a policy's manifest carries the same
//! list and its hash, and a policy with another list is refused.

use sha2::{Digest, Sha256};

use crate::MAX_MODELS;
use crate::body::text::{TEXT_BUCKETS, TextFeatures};
use crate::decide::estimate::{CostEstimate, TokenEstimate};
use crate::decide::mask::ActionMask;
use crate::ledger::SessionView;

/// Features of the session and the request. Logarithms are natural, `ln(1 + x)`.
///
/// | name | of | range |
/// |---|---|---|
/// | `turn_ln` | settled turns of the session | 0 … |
/// | `spent_share` | spent and reserved money, as a share of the budget | 0 … 1 |
/// | `prompt_tokens_ln` | expected input tokens of this turn | 0 … |
/// | `new_tokens_ln` | input tokens beyond the previous turn's input | 0 … |
/// | `mean_output_tokens_ln` | mean output tokens of the settled turns | 0 … |
/// | `runway_turns_ln` | turns the rest would pay at the mean cost so far; 0 in the first turn | 0 … 12 |
/// | `lambda_ln` | λ, the price of money; 0 where the decision rule does not charge the spend to go | 0 … |
pub const SESSION_FEATURES: [&str; 7] = [
    "turn_ln",
    "spent_share",
    "prompt_tokens_ln",
    "new_tokens_ln",
    "mean_output_tokens_ln",
    "runway_turns_ln",
    "lambda_ln",
];

/// Features of each model, prefixed by `m{k}_`.
///
/// | name | of | range |
/// |---|---|---|
/// | `turns_left_ln` | turns like this one that the free money would pay with the model | 0 … 12 |
/// | `allowed` | 1 when the mask allows the model | 0, 1 |
/// | `was_last` | 1 when the model answered the previous turn | 0, 1 |
pub const MODEL_FEATURES: [&str; 3] = ["turns_left_ln", "allowed", "was_last"];

/// Features of the text block.
pub const TEXT_BLOCK: usize = 1 + TEXT_BUCKETS;

/// The largest number of features: all of them, for [`MAX_MODELS`] models.
pub const MAX_FEATURES: usize = SESSION_FEATURES.len() + MODEL_FEATURES.len() * MAX_MODELS + TEXT_BLOCK;

/// Runway and turns left are capped at e¹² ≈ 163,000 turns: beyond that, money does not constrain a session.
const MAX_TURNS_LN: f64 = 12.0;

/// A state: one number per feature, in the order of [`names`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    values: [f32; MAX_FEATURES],
    len: usize,
}

impl Features {
    /// The numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        self.values.get(..self.len).unwrap_or_default()
    }

    /// The numbers without the text block: the state of session, request and models.
    #[must_use]
    pub fn without_text(&self) -> &[f32] {
        self.values.get(..self.len.saturating_sub(TEXT_BLOCK)).unwrap_or_default()
    }
}

/// The names of all features for `models` models, in their order.
#[must_use]
pub fn names(models: usize) -> Vec<String> {
    let text = ["text_absent".to_owned()].into_iter();
    let text = text.chain((0..TEXT_BUCKETS).map(|bucket| format!("text_{bucket:03}")));
    names_without_text(models).into_iter().chain(text).collect()
}

/// The names of [`Features::without_text`].
#[must_use]
pub fn names_without_text(models: usize) -> Vec<String> {
    let session = SESSION_FEATURES.iter().map(|name| (*name).to_owned());
    let of_model = |k: usize| MODEL_FEATURES.iter().map(move |name| format!("m{k}_{name}"));
    session.chain((0..models).flat_map(of_model)).collect()
}

/// A whole state from what [`Features::without_text`] gives and a message.
#[must_use]
pub fn with_text(without_text: &[f32], text: &TextFeatures) -> Vec<f32> {
    let absent = if text.is_empty() { 1.0 } else { 0.0 };
    without_text.iter().copied().chain([absent]).chain(text.scaled()).collect()
}

/// SHA-256 (hexadecimal) over the names, one per line: what a manifest carries.
#[must_use]
pub fn names_sha256(names: &[String]) -> String {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computes the state of one turn.
#[must_use]
pub fn extract(
    session: &SessionView,
    tokens: &TokenEstimate,
    estimates: &[CostEstimate],
    mask: &ActionMask,
    text: &TextFeatures,
    lambda: f32,
) -> Features {
    let available = session.available();
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let turns = f64::from(session.turns);
    let mean_cost = ratio(session.spent.0 as f64, turns);
    let runway =
        if mean_cost > 0.0 { ln_1p(ratio(available.0 as f64, mean_cost)).min(MAX_TURNS_LN) } else { 0.0 };
    let spent_share = 1.0 - ratio(available.0 as f64, session.budget.0 as f64);
    let new_tokens = tokens.prompt_tokens.saturating_sub(session.last_prompt_tokens);
    let of_session = [
        ln_1p(turns),
        spent_share.clamp(0.0, 1.0),
        ln_1p(tokens.prompt_tokens as f64),
        ln_1p(new_tokens as f64),
        ln_1p(ratio(session.output_tokens as f64, turns)),
        runway,
        ln_1p(f64::from(lambda)),
    ];
    let of_models = estimates.iter().enumerate().flat_map(|(k, estimate)| {
        let turns_left = match estimate.expected.0 {
            0 => MAX_TURNS_LN,
            expected => ln_1p(available.0 as f64 / expected as f64).min(MAX_TURNS_LN),
        };
        let was_last = session.last_model.is_some_and(|last| usize::from(last) == k);
        [turns_left, f64::from(u8::from(mask.allows(k))), f64::from(u8::from(was_last))]
    });
    let mut features = Features { values: [0.0; MAX_FEATURES], len: TEXT_BLOCK };
    let mut values = features.values.iter_mut();
    // Not a zip: one that ends takes an element of the longer side with it.
    for feature in of_session.into_iter().chain(of_models) {
        if let Some(value) = values.next() {
            *value = feature as f32;
            features.len = features.len.saturating_add(1);
        }
    }
    match values.into_slice().split_first_mut() {
        Some((absent, _)) if text.is_empty() => *absent = 1.0,
        Some((_, buckets)) => {
            buckets.first_chunk_mut().into_iter().for_each(|buckets| text.write_scaled(buckets));
        }
        None => {}
    }
    features
}

fn ln_1p(x: f64) -> f64 {
    x.max(0.0).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::NanoUsd;
    use proptest::prelude::*;

    fn view() -> SessionView {
        SessionView {
            budget: NanoUsd(1000),
            spent: NanoUsd(300),
            outstanding: NanoUsd(200),
            turns: 3,
            in_flight: 1,
            last_model: Some(1),
            last_prompt_tokens: 80,
            last_body_bytes: 320,
            output_tokens: 30,
            ..SessionView::default()
        }
    }

    fn size() -> TokenEstimate {
        TokenEstimate { prompt_tokens: 100, upper_prompt_tokens: 133, ..TokenEstimate::default() }
    }

    fn estimates(scale: u64) -> Vec<CostEstimate> {
        let estimate = |cost: u64| CostEstimate {
            expected: NanoUsd(cost * scale),
            least: NanoUsd(2 * cost * scale),
            upper: NanoUsd(2 * cost * scale),
            fits_context: true,
        };
        vec![estimate(50), estimate(400)]
    }

    fn state(view: &SessionView, scale: u64) -> Features {
        let estimates = estimates(scale);
        let mask = ActionMask::new(&estimates, view.available(), NanoUsd::ZERO);
        extract(view, &size(), &estimates, &mask, &TextFeatures::default(), 0.0)
    }

    #[test]
    fn the_state_has_the_features_of_its_table() {
        let ln = |x: f64| (1.0 + x).ln() as f32;
        let expected = [
            ln(3.0),
            0.5,
            ln(100.0),
            ln(20.0),
            ln(10.0),
            ln(5.0),
            0.0, //
            ln(10.0),
            1.0,
            0.0, //
            ln(1.25),
            0.0,
            1.0,
        ];
        let found = state(&view(), 1);
        assert_eq!(found.as_slice().len(), names(2).len());
        for ((name, found), expected) in names(2).iter().zip(found.as_slice()).zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: found {found}, expected {expected}");
        }
        let text = &found.as_slice()[found.without_text().len()..];
        assert_eq!((found.without_text().len(), text.len()), (expected.len(), TEXT_BLOCK));
        assert_eq!((text[0], text[1..].iter().sum::<f32>()), (1.0, 0.0));
    }

    #[test]
    fn text_that_was_seen_fills_its_block_and_touches_nothing_else() {
        let (view, estimates) = (view(), estimates(1));
        let mask = ActionMask::new(&estimates, view.available(), NanoUsd::ZERO);
        let text = TextFeatures::of("What is 2 + 2?");
        let found = extract(&view, &size(), &estimates, &mask, &text, 0.0);
        assert_eq!(found.without_text(), state(&view, 1).without_text());
        let block = &found.as_slice()[found.without_text().len()..];
        assert_eq!(block[0], 0.0);
        assert_eq!(block[1..], text.scaled().collect::<Vec<_>>());
    }

    #[test]
    fn names_differ_and_their_hash_depends_on_their_order() {
        let mut list = names(MAX_MODELS);
        assert_eq!(list.len(), MAX_FEATURES);
        let hash = names_sha256(&list);
        list.swap(0, 1);
        assert_ne!(names_sha256(&list), hash);
        list.sort();
        list.dedup();
        assert_eq!(list.len(), MAX_FEATURES);
    }

    proptest! {
        #[test]
        fn scaling_all_money_alike_changes_nothing(scale in 1u64..1_000_000) {
            let mut scaled = view();
            scaled.budget.0 *= scale;
            scaled.spent.0 *= scale;
            scaled.outstanding.0 *= scale;
            let (one, other) = (state(&view(), 1), state(&scaled, scale));
            for (a, b) in one.as_slice().iter().zip(other.as_slice()) {
                prop_assert!((a - b).abs() < 1e-5);
            }
        }

        #[test]
        fn every_state_is_finite(
            money in proptest::array::uniform3(any::<u64>()), turns in any::<u32>(), tokens in any::<[u64; 3]>(),
        ) {
            let view = SessionView {
                budget: NanoUsd(money[0]), spent: NanoUsd(money[1]), outstanding: NanoUsd(money[2]), turns,
                in_flight: 0, last_model: None, last_prompt_tokens: tokens[0], last_body_bytes: 0,
                output_tokens: tokens[1], ..SessionView::default()
            };
            let size = TokenEstimate { prompt_tokens: tokens[2], upper_prompt_tokens: tokens[2], ..TokenEstimate::default() };
            let estimates = [CostEstimate::default(); 2];
            let mask = ActionMask::new(&estimates, view.available(), NanoUsd::ZERO);
            let found = extract(&view, &size, &estimates, &mask, &TextFeatures::of("some text"), 0.5);
            prop_assert!(found.as_slice().iter().all(|value| value.is_finite()));
        }
    }
}
