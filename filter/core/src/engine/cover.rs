//! Keeps a turn's reservation above what its body turns out to hold.
//!
//! A decision is made on the first bytes of a body; what follows is expected to be as dense as text rarely exceeds. Where it
//! is denser, or longer than it was said to be, more money is reserved before those bytes are sent on, and where there is
//! none, the request is reset before its last byte has reached the server. So the input that a server can bill never exceeds
//! what was reserved.

use super::{Engine, Turn};
use crate::body::input::ReadInput;
use crate::config::{InputBound, ModelConfig};
use crate::counters::{Counter, Counts};
use crate::decide::estimate::TokenEstimate;
use crate::ledger::Namespace;
use crate::ledger::holding::Ledger;
use crate::ledger::store::SharedStore;
use crate::money::NanoUsd;
use crate::prices::Prices;

/// Tokens by which a reservation grows at once, where the money allows it, so that not every piece of a body costs a write.
const STEP_TOKENS: u64 = 4096;

impl Engine {
    /// Whether the turn's reservation covers what was read of its body by now, once it has grown as far as it must.
    /// `false`: the request must be reset.
    pub fn cover_input(
        &self,
        store: &impl SharedStore,
        turn: &mut Turn,
        read: &ReadInput,
        now_ms: u64,
        counts: &mut Counts,
    ) -> bool {
        let model = turn.model.and_then(|k| self.model(k)).filter(|_| self.weighs_input());
        let Some(model) = model else { return true };
        let estimate = TokenEstimate {
            upper_prompt_tokens: read.upper_text_tokens(&self.config.estimate, turn.body_bytes),
            images: read.size.images,
            files: read.size.files,
            ..TokenEstimate::default()
        };
        let needed = estimate.upper_input_tokens(model);
        if needed <= turn.input_tokens || turn.namespace == Namespace::Shadow {
            return true;
        }
        let generous = needed.saturating_add(STEP_TOKENS).min(model.context_tokens.max(needed));
        let covered = [generous, needed]
            .into_iter()
            .any(|tokens| self.grow(store, turn, model, tokens, now_ms, counts));
        counts.add(Counter::InputsNotCovered, u64::from(!covered));
        covered
    }

    /// Whether what was read of a body bounds its input.
    pub(super) fn weighs_input(&self) -> bool {
        self.config.estimate.input_bound == InputBound::Weight
    }

    /// Reserves for `tokens` of input of `model` in all; `false` where the money is not there.
    fn grow(
        &self,
        store: &impl SharedStore,
        turn: &mut Turn,
        model: &ModelConfig,
        tokens: u64,
        now_ms: u64,
        counts: &mut Counts,
    ) -> bool {
        let more = more_cost(&model.prices, turn.record.reserved_nano_usd, turn.input_tokens, tokens);
        let reserved = turn.record.reserved_nano_usd.saturating_add(more);
        let ledger = Ledger::new(store, &self.config, turn.namespace);
        let fits = reserved <= turn.record.budget_nano_usd;
        let held = match &mut turn.holding {
            Some(holding) if fits => ledger.raise(holding, more, now_ms, counts).unwrap_or(false),
            _ => false,
        };
        if held {
            turn.input_tokens = tokens;
            turn.record.reserved_nano_usd = reserved;
        }
        held
    }
}

/// What must be added to `reserved`, which pays for `held` tokens of input and for output, when the input is `needed`
/// tokens. Input that crosses into prices of a long context makes the output dearer too.
fn more_cost(prices: &Prices, reserved: NanoUsd, held: u64, needed: u64) -> NanoUsd {
    let input = |tokens| prices.upper_cost(tokens, 0);
    let more = input(needed).saturating_sub(input(held));
    let (before, after) = (prices.upper_output_price(held), prices.upper_output_price(needed));
    if after <= before {
        return more;
    }
    let output = u128::from(reserved.saturating_sub(input(held)).0.saturating_add(1));
    let dearer = output.saturating_mul(u128::from(after)).div_ceil(u128::from(before.max(1)));
    more.saturating_add(NanoUsd(u64::try_from(dearer.saturating_sub(output)).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Answer;
    use crate::engine::tests::{World, read, usage};
    use crate::prices::LongContext;
    use crate::usage::Usage;
    use proptest::prelude::*;

    #[test]
    fn a_body_that_proves_denser_is_reserved_for_while_the_money_lasts() {
        let mut world = World::new(|v| v["budget"]["default_usd"] = "0.02".into());
        let mut turn = world.route();
        let first = turn.record().reserved_nano_usd;
        let World { engine, store, counts } = &mut world;
        assert!(engine.cover_input(store, &mut turn, &read(70), 1000, counts));
        assert_eq!(turn.record().reserved_nano_usd, first, "what was decided on is covered");
        assert!(engine.cover_input(store, &mut turn, &read(1000), 1000, counts));
        let grown = turn.record().reserved_nano_usd;
        assert_eq!(grown.saturating_sub(first), NanoUsd((1064 + 4096 - 134) * 3000));
        assert!(
            engine.cover_input(store, &mut turn, &read(5000), 1000, counts),
            "it was reserved for already"
        );
        assert_eq!(turn.record().reserved_nano_usd, grown);
        assert!(!engine.cover_input(store, &mut turn, &read(9000), 1000, counts));
        assert_eq!(world.session().outstanding, grown);
        assert_eq!(world.counts.get(Counter::InputsNotCovered), 1);
        let answer = Answer { status: Some(200), usage: usage(90, 20), is_final: true, ..Answer::default() };
        world.end(turn, answer);
        let [granted, settled, refunded] =
            [Counter::GrantedNanoUsd, Counter::SettledNanoUsd, Counter::RefundedNanoUsd]
                .map(|counter| world.counts.get(counter));
        assert_eq!(granted, settled + refunded);
    }

    #[test]
    fn where_the_step_is_not_there_the_need_alone_is_reserved() {
        let mut world = World::new(|v| v["budget"]["default_usd"] = "0.005".into());
        let mut turn = world.route();
        let World { engine, store, counts } = &mut world;
        assert!(engine.cover_input(store, &mut turn, &read(800), 1000, counts));
        assert_eq!(turn.input_tokens, 864);
    }

    #[test]
    fn input_that_crosses_into_a_long_context_makes_the_output_dearer() {
        let long_context = LongContext {
            above_input_tokens: 200,
            input_pico_usd_per_token: 6_000_000,
            output_pico_usd_per_token: 22_500_000,
            ..LongContext::default()
        };
        let prices = Prices {
            input_pico_usd_per_token: 3_000_000,
            output_pico_usd_per_token: 15_000_000,
            long_context: Some(long_context),
            ..Prices::default()
        };
        let reserved = prices.upper_cost(134, 100);
        assert_eq!(more_cost(&prices, reserved, 134, 200), NanoUsd(66 * 3000));
        assert_eq!(more_cost(&prices, reserved, 134, 201), NanoUsd(201 * 6000 - 134 * 3000 + 100 * 7500 + 1));
    }

    proptest! {
        #[test]
        fn a_grown_reservation_pays_for_what_it_paid_before_and_the_new_input(
            [low, high, output_low, output_high] in any::<[u16; 4]>(), above in 1u64..2000,
            held in 0u64..2000, more in 0u64..2000, output_tokens in 0u64..2000,
        ) {
            let price = |a: u16, b: u16| (1 + u64::from(a.min(b)), 1 + u64::from(a.max(b)));
            let ((input, long_input), (output, long_output)) = (price(low, high), price(output_low, output_high));
            let long_context = LongContext {
                above_input_tokens: above,
                input_pico_usd_per_token: long_input,
                output_pico_usd_per_token: long_output,
                ..LongContext::default()
            };
            let prices = Prices {
                input_pico_usd_per_token: input,
                output_pico_usd_per_token: output,
                long_context: Some(long_context),
                ..Prices::default()
            };
            let reserved = prices.upper_cost(held, output_tokens);
            let grown = reserved.saturating_add(more_cost(&prices, reserved, held, held + more));
            let usage = Usage { input_tokens: held + more, output_tokens, ..Usage::default() };
            // The cost of the input was rounded by itself.
            prop_assert!(NanoUsd(grown.0 + 1) >= prices.cost(&usage));
        }
    }

    #[test]
    fn both_levels_grow_together_or_not_at_all() {
        let mut world = World::new(|v| {
            v["budget"]["default_usd"] = "1".into();
            v["session"] = serde_json::json!({"tenant_header": "x-team"});
            v["tenants"] = serde_json::json!({"default_usd": "0.01"});
        });
        let mut turn = world.route();
        let first = turn.record().reserved_nano_usd;
        let World { engine, store, counts } = &mut world;
        assert!(engine.cover_input(store, &mut turn, &read(1000), 1000, counts));
        let grown = turn.record().reserved_nano_usd;
        assert!(grown > first);
        assert!(
            !engine.cover_input(store, &mut turn, &read(100_000), 1000, counts),
            "the tenant has not that much"
        );
        assert_eq!(world.session().outstanding, grown);
        assert_eq!(
            world.counts.get(Counter::TenantGrantedNanoUsd),
            grown.0,
            "what one level holds, the other holds"
        );
    }
}
