//! A request's body: any cut gives the same facts, and whatever is sent upstream in its place names the chosen model,
//! asks for no more than was reserved, and has the declared length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::config::LimitMember;
use seqroute_core::request::api::Api;
use seqroute_core::wire::json::Progress;
use seqroute_fuzz::{APIS, Input};
use serde_json::Value;

const CAP_TOKENS: u64 = 40;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let api = input.pick(&APIS);
    let (mut whole, mut cut) = (RequestBody::new(api), RequestBody::new(api));
    whole.scan(input.text);
    input.pieces().into_iter().for_each(|piece| cut.scan(piece));
    assert_eq!(whole.progress(), cut.progress());
    if whole.progress() == Progress::Invalid {
        return;
    }
    assert_eq!(whole.facts(), cut.facts());
    if whole.progress() == Progress::Complete {
        rewrite(&input, api);
    }
});

/// Sends a complete body as the filter does: the first piece is held until the decision, the others follow.
fn rewrite(input: &Input<'_>, api: Api) {
    let (mut body, mut sent, mut declared) = (RequestBody::new(api), Vec::new(), 0);
    for (number, piece) in input.pieces().into_iter().enumerate() {
        body.scan(piece);
        if number == 0 {
            body.decide("large", Some(CAP_TOKENS), LimitMember::default());
        }
        let new = body.rewrite(piece).unwrap_or_else(|| piece.to_vec());
        if number == 0 {
            declared = body.fix_length(input.text.len() as u64, piece.len(), new.len());
        }
        sent.extend(new);
    }
    if body.overran() || body.progress() == Progress::Invalid {
        return;
    }
    assert_eq!(sent.len() as u64, declared);
    let text = input.text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input.text);
    if serde_json::from_slice::<Value>(text).is_err() {
        return;
    }
    let sent = sent.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&sent);
    let sent: Value = serde_json::from_slice(sent).expect("JSON stays JSON");
    if api.has_model_in_body() {
        assert_eq!(sent["model"], "large");
    }
    let limits: Vec<&Value> = match api {
        Api::OpenAiChat => vec![&sent["max_tokens"], &sent["max_completion_tokens"]],
        Api::OpenAiResponses => vec![&sent["max_output_tokens"]],
        Api::AnthropicMessages => vec![&sent["max_tokens"]],
        Api::GeminiGenerate => vec![&sent["generationConfig"]["maxOutputTokens"]],
        Api::BedrockConverse => vec![&sent["inferenceConfig"]["maxTokens"]],
    };
    let limit = limits.iter().filter_map(|limit| limit.as_u64()).max();
    assert!(limit.is_some_and(|limit| limit <= CAP_TOKENS), "{sent}");
}
