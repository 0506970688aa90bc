//! The headers that tell a client what was decided and what is left.
//!
//! On every answer to an LLM request, the filter's own and Envoy's included:
//!
//! | header | value |
//! |---|---|
//! | `x-seqroute-model` | the chosen model; absent when the request was refused |
//! | `x-seqroute-reason` | why (see [`crate::reply::record::DecisionRecord::reason`]) |
//! | `x-seqroute-policy` | id of the policy |
//! | `x-seqroute-session` | hash of the session; absent without one |
//! | `x-seqroute-budget-remaining` | what this turn leaves free, decimal USD: its reservation is taken off, for its cost is not known yet |
//! | `x-ratelimit-limit-usd` | the session's budget, decimal USD |
//! | `x-ratelimit-remaining-usd` | the same as `x-seqroute-budget-remaining`, for tools that show such headers |
//!
//! There is no `-reset`: a session's budget does not come back. A trusted caller that asks for them also gets
//! `x-seqroute-mask`, `-estimates`, `-q-quality`, `-q-cost`, `-lambda`, `-reserved` and `-cap`: one value per model,
//! in the order of `x-seqroute-models`.

use crate::money::NanoUsd;
use crate::reply::record::DecisionRecord;

/// The headers of one answer.
#[must_use]
pub fn reply_headers(record: &DecisionRecord, debug: bool) -> Vec<(&'static str, String)> {
    let taken = [record.spent_nano_usd, record.outstanding_nano_usd, record.reserved_nano_usd];
    let free = taken.iter().fold(record.budget_nano_usd, |free, part| free.saturating_sub(*part)).to_string();
    let mut headers = vec![
        ("x-seqroute-policy", record.policy.clone()),
        ("x-seqroute-reason", record.reason.clone()),
        ("x-seqroute-budget-remaining", free.clone()),
        ("x-ratelimit-limit-usd", record.budget_nano_usd.to_string()),
        ("x-ratelimit-remaining-usd", free),
    ];
    let optional = [("x-seqroute-model", &record.chosen), ("x-seqroute-session", &record.session)];
    headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    if debug {
        headers.extend(debug_headers(record));
    }
    headers
}

fn debug_headers(record: &DecisionRecord) -> Vec<(&'static str, String)> {
    let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let mask: Vec<_> = record.mask.iter().map(|allowed| u8::from(*allowed).to_string()).collect();
    let expected: Vec<_> = record.expected_nano_usd.iter().map(NanoUsd::to_string).collect();
    let mut headers = vec![
        ("x-seqroute-models", record.models.join(",")),
        ("x-seqroute-mask", mask.join(",")),
        ("x-seqroute-estimates", expected.join(",")),
        ("x-seqroute-q-quality", list(&record.q_quality)),
        ("x-seqroute-q-cost", list(&record.q_cost)),
        ("x-seqroute-lambda", record.lambda.to_string()),
        ("x-seqroute-reserved", record.reserved_nano_usd.to_string()),
    ];
    headers.extend(record.output_cap_tokens.map(|cap| ("x-seqroute-cap", cap.to_string())));
    headers
}
