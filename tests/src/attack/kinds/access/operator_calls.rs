//! A10: any method and path goes out with the operator's key: stored answers of others, files, batches, new keys.

use super::Kind;
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "operator_calls",
    "A10",
    "calls that spend, read or delete with the operator's key; 22 turns in a row",
    |campaign| Box::pin(play(campaign)),
);

const CALLS: [(Flavour, &str, &str); 22] = [
    (Flavour::OpenAi, "GET", "/v1/responses/resp_1"),
    (Flavour::OpenAi, "DELETE", "/v1/responses/resp_1"),
    (Flavour::OpenAi, "POST", "/v1/responses/resp_1/cancel"),
    (Flavour::OpenAi, "GET", "/v1/chat/completions"),
    (Flavour::OpenAi, "GET", "/v1/files/file-1/content"),
    (Flavour::OpenAi, "DELETE", "/v1/files/file-1"),
    (Flavour::OpenAi, "POST", "/v1/batches"),
    (Flavour::OpenAi, "POST", "/v1/fine_tuning/jobs"),
    (Flavour::OpenAi, "POST", "/v1/realtime/client_secrets"),
    (Flavour::OpenAi, "POST", "/v1/images/generations"),
    (Flavour::OpenAi, "POST", "/v1/audio/speech"),
    (Flavour::OpenAi, "POST", "/v1/videos"),
    (Flavour::OpenAi, "GET", "/v1/organization/costs"),
    (Flavour::OpenAi, "POST", "/v1/vector_stores"),
    (Flavour::OpenAi, "GET", "/v1/conversations/conv_1/items"),
    (Flavour::OpenAi, "POST", "/v1/uploads"),
    (Flavour::Anthropic, "POST", "/v1/messages/batches"),
    (Flavour::Anthropic, "GET", "/v1/messages/batches/b_1/results"),
    (Flavour::Anthropic, "GET", "/v1/files/file_1/content"),
    (Flavour::Anthropic, "GET", "/v1/organizations/usage_report/messages"),
    (Flavour::Gemini, "POST", "/v1beta/cachedContents"),
    (Flavour::Bedrock, "POST", "/model-invocation-job"),
];

async fn play(campaign: Campaign) {
    for (flavour, method, path) in CALLS {
        let target = format!("{path}?m={}", campaign.marker().at(flavour));
        let request = match method {
            "POST" => Request::post(target, "{}"),
            _ => Request::bare(method, target),
        };
        campaign.turn(request, Leave::Never).await;
    }
}
