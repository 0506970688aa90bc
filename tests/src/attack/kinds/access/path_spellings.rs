//! A09: spellings of paid paths that a server understands and the filter does not.

use super::Kind;
use crate::attack::kinds::bodies::{chat, gemini, messages};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "path_spellings",
    "A09",
    "other spellings, aliases and methods of paid paths, the largest model named; 30 turns in a row",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(2);

const CHAT: [(Flavour, &str); 33] = [
    (Flavour::Vllm, "/v1%2Fchat%2Fcompletions"),
    (Flavour::Vllm, "/v1/chat%2fcompletions"),
    (Flavour::Vllm, "/v1/chat/%63ompletions"),
    (Flavour::Vllm, "/v1/chat/completions/"),
    (Flavour::Vllm, "/v1/completions"),
    (Flavour::Vllm, "/v1/embeddings"),
    (Flavour::Vllm, "/invocations"),
    (Flavour::Vllm, "/generate"),
    (Flavour::Vllm, "/inference/v1/generate"),
    (Flavour::Express, "/v1/chat/completions/"),
    (Flavour::Express, "/V1/chat/completions"),
    (Flavour::Express, "/v1/Chat/Completions/"),
    (Flavour::Express, "/v1/CHAT/completions?x=1"),
    (Flavour::Express, "//v1//chat/completions/"),
    (Flavour::Express, "/v1/./chat/completions/"),
    (Flavour::Express, "/v1/x/../chat/completions/"),
    (Flavour::LlamaCpp, "/chat/completions"),
    (Flavour::LlamaCpp, "/completion"),
    (Flavour::LlamaCpp, "/infill"),
    (Flavour::LlamaCpp, "/v1/completions"),
    (Flavour::LlamaCpp, "/api/chat"),
    (Flavour::GoServer, "/api/chat"),
    (Flavour::GoServer, "/api/generate"),
    (Flavour::GoServer, "/v1/completions"),
    (Flavour::GoServer, "/v1%2Fchat%2Fcompletions"),
    (Flavour::Router, "/chat/completions"),
    (Flavour::Router, "/openai/deployments/large/chat/completions"),
    (Flavour::Router, "/engines/large/chat/completions"),
    (Flavour::Router, "/queue/chat/completions"),
    (Flavour::OpenAi, "/v1/completions"),
    (Flavour::OpenAi, "/v1/embeddings"),
    (Flavour::OpenAi, "/v1/chat/completions?api-version=1"),
    (Flavour::OpenAi, "/v1\\chat\\completions"),
];
const GEMINI: [&str; 8] = [
    "/v1/models/large:generateContent",
    "/v1beta/models/large%3AgenerateContent",
    "/v1beta/models/large:streamGenerateContent/",
    "/v1beta/tunedModels/large:generateContent",
    "/v1alpha/models/large:generateContent",
    "/v1beta/models/large:embedContent",
    "/v1beta/models/large:batchGenerateContent",
    "/v1beta%2Fmodels%2Flarge:generateContent",
];
const BEDROCK: [&str; 4] = [
    "/model/large/invoke",
    "/model/large/invoke-with-response-stream",
    "/model/large%2Fconverse",
    "/model/large/async-invoke",
];
const ANTHROPIC: [&str; 3] = ["/v1/messages/batches", "/v1/complete", "/v1/messages/"];

async fn play(campaign: Campaign) {
    for _ in 0..30 {
        let mut request = one(&campaign);
        // What a client may leave out or put in: the same call in another wrapping.
        if campaign.draw(8) == 0 {
            request.method = campaign.pick(&["PUT", "PATCH", "post", "Post"]).to_string();
        }
        if request.target.contains("generateContent") && campaign.draw(3) == 0 {
            request.method = campaign.pick(&["GET", "PUT"]).to_string();
            request = request.header("x-http-method-override", "POST");
        }
        campaign.turn(request, Leave::Never).await;
    }
}

fn one(campaign: &Campaign) -> Request {
    let marker = |flavour| campaign.marker().at(flavour).out(400);
    let (request, target) = match campaign.draw(8) {
        0 => (gemini(&marker(Flavour::Gemini), false, "", ""), *campaign.pick(&GEMINI)),
        1 => (chat(&marker(Flavour::Bedrock), "Hello", ""), *campaign.pick(&BEDROCK)),
        2 => (messages(&marker(Flavour::Anthropic), "", r#""max_tokens":400"#), *campaign.pick(&ANTHROPIC)),
        _ => {
            let (flavour, target) = *campaign.pick(&CHAT);
            (chat(&marker(flavour), "Hello", r#""prompt":"Hello","model":"large""#), target)
        }
    };
    Request { target: target.to_owned(), ..request }
}
