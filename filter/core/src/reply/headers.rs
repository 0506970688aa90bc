//! The headers that show a client what was decided and how much money is left.
//!
//! On every answer to an LLM request, the filter's own and Envoy's included:
//!
//! | header | value |
//! |---|---|
//! | `x-seqroute-model` | the chosen model; absent when the request was refused |
//! | `x-seqroute-reason` | why (see [`crate::reply::record::DecisionRecord::reason`]) |
//! | `x-seqroute-policy` | id of the policy |
//! | `x-seqroute-session` | hash of the session; absent without one |
//! | `x-seqroute-budget-remaining` | money left, decimal USD: this turn's reservation is deducted, because its cost is not known yet |
//! | `x-ratelimit-limit-usd` | the session's budget, decimal USD |
//! | `x-ratelimit-remaining-usd` | repeats `x-seqroute-budget-remaining` for tools that show this header |
//!
//! There is no `-reset`: a session's budget is never renewed. A trusted caller that asks for them also gets
//! `x-seqroute-mask`, `-estimates`, `-q-quality`, `-q-cost`, `-lambda`, `-reserved` and `-cap`: one value per model,
//! in the order of `x-seqroute-models`.

use std::borrow::Cow;

use crate::money::NanoUsd;
use crate::reply::record::DecisionRecord;

/// The headers of one answer.
#[must_use]
pub fn reply_headers(record: &DecisionRecord, debug: bool) -> Vec<(&'static str, Cow<'_, str>)> {
    let taken = [record.spent_nano_usd, record.outstanding_nano_usd, record.reserved_nano_usd];
    let free = taken.iter().fold(record.budget_nano_usd, |free, part| free.saturating_sub(*part)).to_string();
    let mut headers = vec![
        ("x-seqroute-policy", Cow::from(record.policy.as_str())),
        ("x-seqroute-reason", Cow::from(record.reason.as_str())),
        ("x-seqroute-budget-remaining", Cow::from(free.clone())),
        ("x-ratelimit-limit-usd", Cow::from(record.budget_nano_usd.to_string())),
        ("x-ratelimit-remaining-usd", Cow::from(free)),
    ];
    headers.extend(record.chosen.as_deref().map(|model| ("x-seqroute-model", Cow::from(model))));
    headers.extend(record.session.as_deref().map(|session| ("x-seqroute-session", Cow::from(session))));
    if debug {
        headers.extend(debug_headers(record).map(|(name, value)| (name, Cow::from(value))));
        headers.extend(record.output_cap_tokens.map(|cap| ("x-seqroute-cap", Cow::from(cap.to_string()))));
    }
    headers
}

fn debug_headers(record: &DecisionRecord) -> impl Iterator<Item = (&'static str, String)> {
    let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let mask: Vec<_> = record.mask.iter().map(|allowed| u8::from(*allowed).to_string()).collect();
    let expected: Vec<_> = record.expected_nano_usd.iter().map(NanoUsd::to_string).collect();
    let models: Vec<_> = record.models.iter().map(|name| name.as_str()).collect();
    let headers = [
        ("x-seqroute-models", models.join(",")),
        ("x-seqroute-mask", mask.join(",")),
        ("x-seqroute-estimates", expected.join(",")),
        ("x-seqroute-q-quality", list(&record.q_quality)),
        ("x-seqroute-q-cost", list(&record.q_cost)),
        ("x-seqroute-lambda", record.lambda.to_string()),
        ("x-seqroute-reserved", record.reserved_nano_usd.to_string()),
    ];
    headers.into_iter()
}
