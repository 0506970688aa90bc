//! Tests of the ways in which a turn ends.

use super::tests::{World, body, head, usage};
use super::*;
use crate::answer::plausible::Shown;
use crate::body::facts::BodyFacts;
use crate::counters::Counter;
use crate::money::NanoUsd;
use crate::reply::record::DecisionRecord;
use crate::usage::Usage;
use proptest::prelude::*;
use serde_json::json;

/// 134 tokens of input at 3 and 100 of output at 15 USD per million.
const RESERVED: NanoUsd = NanoUsd(134 * 3000 + 100 * 15000);

fn by_estimate(value: &mut serde_json::Value) {
    value["estimate"] = json!({"missing_usage": "estimate"});
}

fn ended(world: &mut World, answer: Answer) -> DecisionRecord {
    let turn = world.route();
    assert_eq!(turn.record().reserved_nano_usd, RESERVED);
    world.end(turn, answer)
}

/// A 2xx that was cut.
fn cut() -> Answer {
    Answer { status: Some(200), ..Answer::default() }
}

#[test]
fn a_failed_answer_without_usage_is_refunded() {
    for status in [None, Some(302), Some(400), Some(429), Some(500), Some(503), Some(504)] {
        for upstream in [Upstream::Silent, Upstream::Answered, Upstream::Unreached] {
            let mut world = World::new(|_| {});
            let answer = Answer { status, upstream, usage: usage(0, 0), ..Answer::default() };
            assert_eq!(ended(&mut world, answer).outcome, "refunded", "{status:?} {upstream:?}");
            assert_eq!((world.session().spent, world.session().outstanding), (NanoUsd::ZERO, NanoUsd::ZERO));
        }
    }
}

#[test]
fn an_error_of_the_upstream_that_reports_usage_is_charged_by_it() {
    for status in [Some(302), Some(400), Some(429), Some(500)] {
        let mut world = World::new(|_| {});
        let upstream = Upstream::Answered;
        let answer = Answer { status, upstream, usage: usage(90, 20), is_final: true, ..Answer::default() };
        let record = ended(&mut world, answer);
        assert_eq!(
            (record.outcome.as_str(), record.charged_nano_usd),
            ("settled", NanoUsd(90 * 3000 + 20 * 15000))
        );
    }
}

#[test]
fn an_error_with_the_status_of_a_success_is_refunded_unless_it_reports_usage_or_is_kept() {
    let error = Answer { shown: Shown { is_error: true, ..Shown::default() }, is_final: true, ..cut() };
    for (answer, outcome) in [
        (error, "refunded"),
        (Answer { usage: usage(0, 0), ..error }, "refunded"),
        (Answer { usage: usage(90, 0), ..error }, "settled"),
        (Answer { kept: true, ..error }, "estimated"),
        (Answer { shown: Shown::default(), ..error }, "estimated"),
    ] {
        for change in [|_: &mut serde_json::Value| {}, by_estimate] {
            let mut world = World::new(change);
            let record = ended(&mut world, answer);
            assert_eq!(record.outcome, outcome, "{answer:?}");
            assert_eq!(record.charged_nano_usd == NanoUsd::ZERO, outcome == "refunded");
        }
    }
}

#[test]
fn an_answer_that_the_provider_keeps_is_paid_although_nobody_received_it() {
    for (status, upstream, is_paid) in [
        (None, Upstream::Silent, true),
        (Some(503), Upstream::Silent, true),
        (Some(504), Upstream::Silent, true),
        (None, Upstream::Unreached, false),
        (Some(503), Upstream::Unreached, false),
        (Some(500), Upstream::Answered, false),
    ] {
        for change in [|_: &mut serde_json::Value| {}, by_estimate] {
            let mut world = World::new(change);
            let record = ended(&mut world, Answer { status, upstream, kept: true, ..Answer::default() });
            let (outcome, charged) =
                if is_paid { ("estimated", RESERVED) } else { ("refunded", NanoUsd::ZERO) };
            assert_eq!(
                (record.outcome.as_str(), record.charged_nano_usd),
                (outcome, charged),
                "{status:?} {upstream:?}"
            );
            assert_eq!(world.session().spent, charged);
        }
    }
}

#[test]
fn an_answer_without_final_usage_is_charged_all_that_was_reserved() {
    let answers = [
        cut(),
        Answer { is_final: true, guessed_output_tokens: 12, ..cut() },
        Answer { usage: usage(90, 20), ..cut() },
        Answer { usage: usage(0, 20), ..cut() },
        Answer { usage: usage(90, 0), ..cut() },
    ];
    for answer in answers {
        let mut world = World::new(|_| {});
        let record = ended(&mut world, answer);
        assert_eq!((record.outcome.as_str(), record.charged_nano_usd), ("estimated", RESERVED), "{answer:?}");
        assert_eq!(world.session().spent, RESERVED);
        assert_eq!(world.counts.get(Counter::UsageEstimated), 1);
        assert_eq!(world.counts.get(Counter::ImplausibleUsage), 0);
    }
}

#[test]
fn what_usage_and_bytes_prove_beyond_the_reservation_is_charged() {
    let mut world = World::new(|_| {});
    let early = Answer { usage: usage(1000, 1), guessed_output_tokens: 40, ..cut() };
    let record = ended(&mut world, early);
    assert_eq!((record.usage, record.charged_nano_usd), (usage(1000, 40), NanoUsd(1000 * 3000 + 40 * 15000)));
}

#[test]
fn a_turn_that_is_cut_after_its_final_usage_is_settled_by_it() {
    let mut world = World::new(|_| {});
    let record = ended(
        &mut world,
        Answer { usage: usage(90, 20), is_final: true, guessed_output_tokens: 22, ..cut() },
    );
    assert_eq!(
        (record.outcome.as_str(), record.charged_nano_usd),
        ("settled", NanoUsd(90 * 3000 + 20 * 15000))
    );
}

#[test]
fn an_operator_may_choose_the_estimate() {
    let mut world = World::new(by_estimate);
    let record = ended(&mut world, Answer { guessed_output_tokens: 12, ..cut() });
    assert_eq!((record.outcome.as_str(), record.usage), ("estimated", usage(100, 12)));
    assert_eq!(record.charged_nano_usd, NanoUsd(100 * 3000 + 12 * 15000));
    // Anthropic's first event carries the input's usage and one output token.
    let record = ended(&mut world, Answer { usage: usage(90, 1), guessed_output_tokens: 40, ..cut() });
    assert_eq!((record.outcome.as_str(), record.usage), ("estimated", usage(90, 40)));
}

#[test]
fn an_estimate_never_exceeds_the_limit_unless_the_text_does() {
    let estimated = |guessed_output_tokens, text_bytes| {
        let mut world = World::new(by_estimate);
        let shown = Shown { text_bytes, ..Shown::default() };
        ended(&mut world, Answer { guessed_output_tokens, shown, ..cut() }).usage
    };
    // 4000 bytes in the answer's frame look like 1000 tokens; the request allowed 100.
    assert_eq!(estimated(1000, 0), usage(100, 100));
    assert_eq!(estimated(1000, 1600), usage(100, 100));
    assert_eq!(estimated(1000, 4000), usage(100, 1000));
    assert_eq!(estimated(u64::MAX, u64::MAX), usage(100, 128_000));
}

#[test]
fn usage_that_cannot_be_true_is_charged_by_what_was_reserved() {
    let cached = |cached_input_tokens| Usage { cached_input_tokens, ..usage(90, 20).unwrap() };
    let cases = [
        (usage(90, 999_999_999_999_980), RESERVED, usage(90, 12)),
        (usage(90, 50_000), RESERVED, usage(90, 12)),
        (usage(1_000_000, 20), RESERVED, usage(100, 20)),
        (usage(u64::MAX, u64::MAX), RESERVED, usage(100, 12)),
        (usage(0, 0), RESERVED, usage(100, 12)),
        (usage(0, 20), RESERVED, usage(100, 20)),
        (usage(90, 1), RESERVED, usage(90, 12)),
        (Some(cached(91)), RESERVED, usage(100, 20)),
        (Some(cached(5000)), NanoUsd(5000 * 3000 + 20 * 15000), usage(5000, 20)),
        (usage(10_000, 999_999_999), NanoUsd(10_000 * 3000 + 12 * 15000), usage(10_000, 12)),
    ];
    for (reported, charged, corrected) in cases {
        for change in [|_: &mut serde_json::Value| {}, by_estimate] {
            let mut world = World::new(change);
            let shown = Shown { body_bytes: 400, text_bytes: 200, ..Shown::default() };
            let answer =
                Answer { usage: reported, is_final: true, guessed_output_tokens: 12, shown, ..cut() };
            let record = ended(&mut world, answer);
            assert_eq!((record.outcome.as_str(), record.usage), ("estimated", corrected), "{reported:?}");
            assert_eq!(record.charged_nano_usd, charged, "{reported:?}");
            assert_eq!(world.counts.get(Counter::ImplausibleUsage), 1);
        }
    }
}

#[test]
fn an_absurd_count_in_the_middle_of_an_answer_is_not_charged_either() {
    let mut world = World::new(|_| {});
    let record = ended(&mut world, Answer { usage: usage(90, u64::MAX), guessed_output_tokens: 5, ..cut() });
    assert_eq!((record.usage, record.charged_nano_usd), (usage(90, 5), RESERVED));
    assert_eq!(world.counts.get(Counter::ImplausibleUsage), 1);
}

#[test]
fn a_limit_that_a_server_ignores_is_paid_where_the_answer_shows_it() {
    let mut world = World::new(|_| {});
    let shown = Shown { body_bytes: 60_000, text_bytes: 50_000, ..Shown::default() };
    let record = ended(&mut world, Answer { usage: usage(90, 12_000), is_final: true, shown, ..cut() });
    assert_eq!(
        (record.outcome.as_str(), record.charged_nano_usd),
        ("settled", NanoUsd(90 * 3000 + 12_000 * 15000))
    );
}

#[test]
fn several_answers_and_several_runs_may_use_more() {
    let charged = |answers, runs: u64, output| {
        let mut world = World::new(|v| {
            v["budget"]["default_usd"] = json!("1000");
            v["estimate"] = json!({"runs_per_answer": runs});
        });
        let head = head(&world.engine);
        let body = BodyFacts { answers, max_output_tokens: None, ..body() };
        let admission = world.engine.admit(&world.store, &head, Some(&body), Some(400), 0, &mut world.counts);
        let Admission::Route(turn) = admission else { panic!("refused") };
        world.end(*turn, Answer { usage: usage(90, output), is_final: true, ..cut() }).outcome
    };
    assert_eq!(charged(1, 1, 144_064), "settled");
    assert_eq!(charged(1, 1, 144_065), "estimated");
    assert_eq!(charged(5, 1, 640_000), "settled");
    assert_eq!(charged(1, 3, 384_000), "settled");
}

#[test]
fn a_body_that_was_not_read_may_ask_for_many_answers() {
    let mut world = World::new(|v| v["budget"]["default_usd"] = json!("1000"));
    let head = head(&world.engine);
    let admission = world.engine.admit(&world.store, &head, None, Some(400), 0, &mut world.counts);
    let Admission::Route(turn) = admission else { panic!("refused") };
    assert_eq!(turn.answers(), 128);
    let record = world.end(*turn, Answer { usage: usage(90, 1_000_000), is_final: true, ..cut() });
    assert_eq!(record.outcome, "settled");
}

#[test]
fn tokens_per_byte_are_learned_from_input_that_is_believed() {
    for (reported, is_final, learned) in [
        (usage(90, 20), true, 400),
        (usage(90, 20), false, 400),
        (usage(0, 20), false, 0),
        (usage(0, 20), true, 0),
        (usage(999_999, 20), true, 0),
        (None, true, 0),
    ] {
        let mut world = World::new(|_| {});
        ended(&mut world, Answer { usage: reported, is_final, ..cut() });
        assert_eq!(world.session().last_body_bytes, learned, "{reported:?}");
    }
}

proptest! {
    #[test]
    fn an_answer_that_began_costs_what_was_reserved_or_what_its_believed_usage_says(
        counts in proptest::option::of(any::<[u64; 5]>()), small in any::<bool>(), is_final in any::<bool>(),
        guessed_output_tokens in any::<u64>(), body_bytes in 0u64..1 << 40, text_bytes in 0u64..1 << 40, kept in any::<bool>(),
    ) {
        let mut world = World::new(|v| v["budget"]["default_usd"] = json!("10"));
        let usage = counts.map(|counts| {
            let [input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens] =
                counts.map(|count| if small { count % 200 } else { count });
            Usage {
                input_tokens,
                cached_input_tokens,
                cache_write_tokens,
                output_tokens,
                reasoning_tokens,
                ..Usage::default()
            }
        });
        let shown = Shown { body_bytes, text_bytes, ..Shown::default() };
        let answer = Answer { usage, is_final, guessed_output_tokens, shown, kept, ..cut() };
        let turn = world.route();
        let reserved = turn.record().reserved_nano_usd;
        let record = world.end(turn, answer);
        // Input and output of a context and its margin, at most.
        let most = NanoUsd(144_064 * (3000 + 15000));
        prop_assert!(record.charged_nano_usd <= most.max(reserved));
        match record.outcome.as_str() {
            "settled" => prop_assert!(is_final && record.usage == usage),
            _ => prop_assert!(record.charged_nano_usd >= reserved),
        }
        prop_assert_eq!(world.session().spent, record.charged_nano_usd);
        prop_assert_eq!(world.session().outstanding, NanoUsd::ZERO);
    }
}

#[test]
fn a_client_that_leaves_pays_what_a_server_of_known_speed_can_have_written_by_then() {
    let charged = |speed: Option<u64>, status| {
        let mut world = World::new(|v| {
            v["budget"]["default_usd"] = "1".into();
            v["models"][1]["tokens_per_second"] = speed.into();
        });
        let mut head = head(&world.engine);
        head.budget = world.engine.config().default_budget();
        let long = BodyFacts { max_output_tokens: Some(30_000), ..body() };
        let admission =
            world.engine.admit(&world.store, &head, Some(&long), Some(400), 1000, &mut world.counts);
        let Admission::Route(turn) = admission else { panic!("refused") };
        // It ends a second after it began.
        world.end(*turn, Answer { status, ..Answer::default() }).charged_nano_usd.0
    };
    let input = 134 * 3000;
    assert_eq!(charged(None, Some(200)), input + 30_000 * 15_000);
    assert_eq!(charged(Some(100), Some(200)), input + 100 * 6 * 15_000);
    assert_eq!(charged(Some(1_000_000), Some(200)), input + 30_000 * 15_000, "never more than was reserved");
}
