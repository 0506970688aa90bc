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
        let cost = |tokens| model.prices.upper_cost(tokens, 0);
        let more = cost(tokens).saturating_sub(cost(turn.input_tokens));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Answer;
    use crate::engine::tests::{World, read, usage};
    use crate::money::NanoUsd;

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
