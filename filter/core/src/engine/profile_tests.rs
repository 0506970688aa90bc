//! A request goes only to a model that can take it, with a limit that its server takes.

use super::tests::{World, body, head};
use super::{Admission, Turn};
use crate::body::facts::BodyFacts;
use crate::body::wants::Wants;
use crate::config::{Effort, Thinking};
use crate::counters::Counts;
use crate::reply::local_reply::LocalReply;
use crate::request::api::Api;
use crate::request::call::Call;
use crate::request::head::RequestHead;
use serde_json::{Value, json};

fn admit(world: &mut World, api: Api, body: Option<&BodyFacts>) -> Result<Turn, LocalReply> {
    let head = RequestHead { call: Call { api, ..Call::default() }, ..head(&world.engine) };
    let World { engine, store, .. } = world;
    match engine.admit(store, &head, body, Some(400), 0, &mut Counts::default()) {
        Admission::Route(turn) => Ok(*turn),
        Admission::Refuse(_, reply) => Err(reply),
        other => panic!("{other:?}"),
    }
}

fn chosen(result: Result<Turn, LocalReply>) -> String {
    result.unwrap().record().chosen.as_ref().unwrap().to_string()
}

/// A configuration of two providers: `small` takes OpenAI's APIs, `large` Anthropic's.
fn two_providers(v: &mut Value) {
    v["models"][0]["apis"] = json!(["openai_chat", "openai_responses"]);
    v["models"][1]["apis"] = json!(["anthropic_messages"]);
}

#[test]
fn one_configuration_holds_two_providers() {
    let mut world = World::new(two_providers);
    let body = body();
    assert_eq!(chosen(admit(&mut world, Api::OpenAiChat, Some(&body))), "small");
    assert_eq!(chosen(admit(&mut world, Api::AnthropicMessages, Some(&body))), "large");
    let refused = admit(&mut world, Api::GeminiGenerate, Some(&body)).unwrap_err();
    assert_eq!((refused.status, refused.reason.as_str()), (400, "no_capable_model"));
    assert!(refused.body.contains("requests of the API `gemini_generate`"), "{}", refused.body);
}

#[test]
fn a_request_of_which_only_the_headers_are_read_goes_to_a_model_of_its_api() {
    let mut world = World::new(|v| {
        two_providers(v);
        v["mode"] = json!("headers");
    });
    assert_eq!(chosen(admit(&mut world, Api::OpenAiResponses, None)), "small");
}

#[test]
fn thinking_and_effort_go_to_a_model_that_takes_them() {
    let mut world = World::new(|v| {
        v["budget"]["default_usd"] = json!("0.003");
        v["models"][0]["accepts"] = json!({"thinking": ["disabled", "enabled"], "effort": []});
    });
    let asks = |wants| BodyFacts { wants, ..body() };
    let adaptive = asks(Wants { thinking: Some(Thinking::Adaptive), ..Wants::default() });
    let effort = asks(Wants { effort: Some(Effort::High), ..Wants::default() });
    assert_eq!(chosen(admit(&mut world, Api::AnthropicMessages, Some(&adaptive))), "large");
    // The money that the first leaves pays only for the small model, which does not take it.
    let refused = admit(&mut world, Api::AnthropicMessages, Some(&effort)).unwrap_err();
    assert_eq!(refused.reason.as_str(), "money_in_flight");
    assert_eq!(chosen(admit(&mut world, Api::AnthropicMessages, Some(&body()))), "small");
}

#[test]
fn a_refusal_names_what_no_model_takes() {
    let mut world = World::new(|v| {
        for k in 0..2 {
            v["models"][k]["accepts"] = json!({"thinking": []});
        }
    });
    let wants = Wants { thinking: Some(Thinking::Adaptive), ..Wants::default() };
    let refused =
        admit(&mut world, Api::AnthropicMessages, Some(&BodyFacts { wants, ..body() })).unwrap_err();
    assert!(refused.body.contains("supports `thinking` of type `adaptive`"), "{}", refused.body);
}

#[test]
fn no_more_is_reserved_than_for_the_largest_limit_of_a_model() {
    let mut world = World::new(|v| {
        v["budget"] = json!({"default_usd": "1", "cap_output": true});
        v["models"][1]["max_output_tokens"] = json!(8192);
    });
    let large = BodyFacts { max_output_tokens: Some(32_000), ..body() };
    let turn = admit(&mut world, Api::AnthropicMessages, Some(&large)).unwrap();
    assert_eq!(turn.record().reserved_nano_usd.0, 134 * 3000 + 8192 * 15_000);
    assert_eq!(turn.record().output_cap_tokens, Some(8192));
}

#[test]
fn several_answers_may_each_have_the_largest_limit() {
    let mut world = World::new(|v| {
        v["budget"] = json!({"default_usd": "1", "cap_output": true});
        v["models"][1]["max_output_tokens"] = json!(8192);
    });
    let three = BodyFacts { answers: 3, max_output_tokens: Some(3 * 32_000), ..body() };
    let turn = admit(&mut world, Api::OpenAiChat, Some(&three)).unwrap();
    assert_eq!(turn.record().output_cap_tokens, Some(3 * 8192));
}

#[test]
fn a_model_is_not_chosen_where_the_money_pays_for_less_than_its_smallest_limit() {
    // 134 tokens of input and 9 of output at 3 and 15 USD per million.
    let usd = "0.000537";
    let limited = |least: u64, limit: Option<u64>| {
        let mut world = World::new(|v| {
            v["budget"] = json!({"default_usd": usd, "cap_output": true, "shortest_output_tokens": 4});
            v["strategy"] = json!({"always": "large"});
            v["models"][1]["min_output_tokens"] = json!(least);
        });
        let body = BodyFacts { max_output_tokens: limit, ..body() };
        admit(&mut world, Api::OpenAiResponses, Some(&body))
    };
    assert_eq!(limited(1, None).unwrap().record().output_cap_tokens, Some(9));
    assert_eq!(limited(9, None).unwrap().record().output_cap_tokens, Some(9));
    assert_eq!(limited(16, None).unwrap_err().reason.as_str(), "session_budget_exceeded");
    assert_eq!(limited(16, Some(5)).unwrap().record().output_cap_tokens, None, "the client's own is its own");
}
