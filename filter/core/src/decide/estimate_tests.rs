use super::*;
use crate::config::{Config, tests::example};
use crate::prices::LongContext;
use proptest::prelude::*;

fn model() -> ModelConfig {
    Config::from_json(example().to_string().as_bytes()).unwrap().models[0].clone()
}

fn size(body_bytes: u64) -> RequestSize {
    RequestSize { body_bytes: Some(body_bytes), ..RequestSize::default() }
}

fn expected(prompt_tokens: u64) -> TokenEstimate {
    TokenEstimate { prompt_tokens, ..TokenEstimate::default() }
}

fn fresh(body_bytes: u64) -> TokenEstimate {
    TokenEstimate::new(&EstimateConfig::default(), &size(body_bytes), &SessionView::default())
}

#[test]
fn the_clients_limit_bounds_all_estimates() {
    let tokens = TokenEstimate { upper_prompt_tokens: 1000, max_output_tokens: Some(10), ..expected(1000) };
    let estimate = cost(&model(), &tokens, &SessionView::default(), true);
    assert_eq!(estimate.expected, estimate.upper);
    assert_eq!(estimate.least, estimate.upper);
    assert_eq!(estimate.upper, NanoUsd(1000 * 100 + 10 * 400));
}

#[test]
fn without_a_limit_the_reservation_assumes_the_upper_output() {
    let estimate = cost(&model(), &fresh(1200), &SessionView::default(), false);
    assert_eq!(estimate.expected, NanoUsd(300 * 100 + 100 * 400));
    assert_eq!(estimate.upper, NanoUsd(400 * 100 + 400 * 400));
    assert_eq!(estimate.least, estimate.upper);
}

#[test]
fn an_answer_that_can_be_cut_needs_twice_its_expected_output() {
    let estimate = cost(&model(), &fresh(1200), &SessionView::default(), true);
    assert_eq!(estimate.least, NanoUsd(400 * 100 + 200 * 400));
}

#[test]
fn an_answer_that_may_not_be_cut_short_needs_what_it_asks_for() {
    let needs = |least_output_tokens, max_output_tokens| {
        let tokens = TokenEstimate { least_output_tokens, max_output_tokens, ..fresh(1200) };
        cost(&model(), &tokens, &SessionView::default(), true).least
    };
    assert_eq!(needs(300, None), NanoUsd(400 * 100 + 300 * 400));
    assert_eq!(needs(150, None), NanoUsd(400 * 100 + 200 * 400));
    assert_eq!(needs(300, Some(250)), NanoUsd(400 * 100 + 250 * 400));
}

#[test]
fn a_prompt_beyond_the_context_does_not_fit() {
    assert!(!cost(&model(), &fresh(4 * 128_000), &SessionView::default(), true).fits_context);
}

#[test]
fn a_cached_prefix_lowers_the_expected_cost_but_not_the_bounds() {
    let mut model = model();
    model.prices.cached_input_pico_usd_per_token = Some(10_000);
    let config = EstimateConfig::default();
    let session = SessionView {
        turns: 1,
        last_model: Some(1),
        last_prompt_tokens: 200,
        idle_ms: Some(1000),
        ..SessionView::default()
    };
    let cached = cached_prefix_tokens(&config, &session, 1);
    assert_eq!((cached, cached_prefix_tokens(&config, &session, 0)), (200, 0));
    let [cold, warm] = [CachedPrefix::default(), CachedPrefix::of(&config, &session, 1)]
        .map(|cached| cost_with_cache(&model, &fresh(1200), &session, true, cached));
    assert_eq!(warm.expected, NanoUsd(cold.expected.0 - 200 * 100 + 200 * 10));
    assert_eq!((warm.least, warm.upper), (cold.least, cold.upper));
    let late = SessionView { idle_ms: Some(config.prompt_cache_ttl_ms + 1), ..session };
    assert_eq!(cached_prefix_tokens(&config, &late, 1), 0);
}

#[test]
fn a_prefix_that_was_seen_to_be_cached_is_reserved_for_with_the_configured_doubt() {
    let mut model = model();
    model.prices.cached_input_pico_usd_per_token = Some(10_000);
    let session = SessionView {
        last_model: Some(1),
        last_prompt_tokens: 200,
        warm_tokens: 150,
        idle_ms: Some(1000),
        ..SessionView::default()
    };
    let upper = |cache_doubt, model_number, session: &SessionView| {
        let config = EstimateConfig { cache_doubt, ..EstimateConfig::default() };
        CachedPrefix::of(&config, session, model_number).upper_cost(&model, &fresh(1200), 10).0
    };
    let cold = 400 * 100 + 10 * 400;
    assert_eq!(upper(1.0, 1, &session), cold);
    assert_eq!(upper(0.0, 1, &session), cold - 150 * 90);
    assert_eq!(upper(0.2, 1, &session), cold - 150 * 90 * 8 / 10);
    assert_eq!(upper(0.0, 0, &session), cold, "another model has nothing cached");
    let late = SessionView { idle_ms: Some(600_000), ..session };
    assert_eq!(upper(0.0, 1, &late), cold, "the cache has ended");
}

#[test]
fn hour_long_writes_are_reserved_for_where_they_can_be_asked_for() {
    let mut model = model();
    model.prices.cache_write_pico_usd_per_token = Some(125_000);
    let upper = |cache_writes| {
        let tokens = TokenEstimate { cache_writes, ..fresh(1200) };
        CachedPrefix::default().upper_cost(&model, &tokens, 0).0
    };
    assert_eq!((upper(CacheWrites::Short), upper(CacheWrites::Long)), (400 * 125, 400 * 200));
}

#[test]
fn a_session_of_short_answers_is_expected_to_continue_with_them() {
    let session = SessionView { turns: 8, output_tokens: 16, ..SessionView::default() };
    assert_eq!(expected_output_tokens(&model(), &session), 22);
    assert_eq!(expected_output_tokens(&model(), &SessionView::default()), 100);
}

#[test]
fn tokens_per_byte_of_the_last_turn_replace_the_configured_ones() {
    let session = SessionView { last_body_bytes: 1000, last_prompt_tokens: 500, ..SessionView::default() };
    let tokens = TokenEstimate::new(&EstimateConfig::default(), &size(1400), &session);
    assert_eq!(tokens.prompt_tokens, 700);
    // 500 + ⌈500/8⌉ for what was sent before, and the same density for the 400 new bytes.
    assert_eq!(tokens.upper_prompt_tokens, 563 + 226);
}

fn read(size: InputSize, bytes: u64, complete: bool) -> Option<ReadInput> {
    Some(ReadInput { size, bytes, complete, ..ReadInput::default() })
}

#[test]
fn a_learned_ratio_does_not_lower_the_bound_of_what_was_read() {
    // The last turn had nine tokens in half a megabyte of white space.
    let session = SessionView { last_body_bytes: 480_000, last_prompt_tokens: 9, ..SessionView::default() };
    let text = InputSize { text_tokens: 120_000, ..InputSize::default() };
    let size = RequestSize { read: read(text, 480_000, true), ..size(480_000) };
    let tokens = TokenEstimate::new(&EstimateConfig::default(), &size, &session);
    assert_eq!((tokens.prompt_tokens, tokens.upper_prompt_tokens), (9, 120_064));
    let sparse = InputSize { text_tokens: 20, ..InputSize::default() };
    let size = RequestSize { read: read(sparse, 480_000, true), ..size };
    let tokens = TokenEstimate::new(&EstimateConfig::default(), &size, &SessionView::default());
    assert_eq!((tokens.prompt_tokens, tokens.upper_prompt_tokens), (84, 84));
}

#[test]
fn an_image_weighs_what_the_model_says_and_a_file_a_whole_context() {
    let upper = |images, files| {
        let input = InputSize { text_tokens: 100, images, files };
        let size = RequestSize { read: read(input, 400, true), ..size(400) };
        let tokens = TokenEstimate::new(&EstimateConfig::default(), &size, &SessionView::default());
        tokens.upper_input_tokens(&model())
    };
    assert_eq!((upper(0, 0), upper(2, 0)), (164, 164 + 2 * 16_384));
    assert_eq!((upper(0, 1), upper(100, 0)), (128_000, 128_000), "no server takes more than a context");
}

#[test]
fn what_was_not_read_weighs_by_the_ratio_or_where_nobody_will_read_it_a_token_a_byte() {
    let config = EstimateConfig::default();
    let half = ReadInput {
        size: InputSize { text_tokens: 10, ..InputSize::default() },
        bytes: 100,
        ..ReadInput::default()
    };
    assert_eq!(half.upper_text_tokens(&config, Some(400)), 10 + 100 + 64);
    assert_eq!(half.upper_text_tokens(&config, None), 32_000 + 64);
    let blind = ReadInput { is_blind: true, ..ReadInput::default() };
    assert_eq!(blind.upper_text_tokens(&config, Some(400)), 400 + 64);
    let tools = ReadInput { complete: true, has_tools: true, ..half };
    assert_eq!(tools.upper_text_tokens(&config, Some(400)), 10 + 64 + 1024);
}

#[test]
fn new_text_may_be_denser_than_a_sparse_history() {
    let session = SessionView { last_body_bytes: 1000, last_prompt_tokens: 100, ..SessionView::default() };
    let tokens = TokenEstimate::new(&EstimateConfig::default(), &size(1300), &session);
    assert_eq!((tokens.prompt_tokens, tokens.upper_prompt_tokens), (130, 113 + 100));
}

proptest! {
    #[test]
    fn an_answer_cut_at_what_a_reservation_pays_for_costs_no_more(
        body in 0u64..1_000_000, reserved in any::<u64>(), input in 1u64..1 << 40, output in 1u64..1 << 40,
        above in proptest::option::of(0u64..400_000),
    ) {
        let mut model = model();
        model.prices.long_context = above.map(|above_input_tokens| LongContext {
            above_input_tokens,
            input_pico_usd_per_token: 2 * input,
            output_pico_usd_per_token: 2 * output,
            ..LongContext::default()
        });
        model.prices.input_pico_usd_per_token = input;
        model.prices.output_pico_usd_per_token = output;
        let tokens = fresh(body);
        let cap = affordable_output_tokens(&model, &tokens, CachedPrefix::default(), NanoUsd(reserved));
        let input_tokens = tokens.upper_input_tokens(&model);
        let used = Usage { input_tokens, output_tokens: cap, ..Usage::default() };
        let input_only = Usage { output_tokens: 0, ..used };
        prop_assert!(model.prices.cost(&used) <= NanoUsd(reserved).max(model.prices.cost(&input_only)));
    }

    #[test]
    fn estimates_are_ordered(
        body in any::<u64>(), limit in proptest::option::of(any::<u64>()), least in any::<u64>(), bytes in any::<u64>(),
        tokens in any::<u64>(), turns in any::<u32>(), output_tokens in any::<u64>(), can_cut in any::<bool>(),
    ) {
        let session = SessionView {
            last_body_bytes: bytes, last_prompt_tokens: tokens, turns, output_tokens, ..SessionView::default()
        };
        let size = RequestSize { body_bytes: Some(body), max_output_tokens: limit, least_output_tokens: least, read: None, answers: 1 };
        let tokens = TokenEstimate::new(&EstimateConfig::default(), &size, &session);
        let estimate = cost(&model(), &tokens, &session, can_cut);
        prop_assert!(tokens.prompt_tokens <= tokens.upper_prompt_tokens);
        prop_assert!(estimate.expected <= estimate.upper && estimate.least <= estimate.upper);
    }
}
