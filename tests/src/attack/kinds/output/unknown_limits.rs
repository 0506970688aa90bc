//! A35: members that a server obeys instead of the limit that the filter knows.

use super::{Kind, LONG};
use crate::attack::kinds::bodies::{chat, converse, gemini};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "unknown_limits",
    "A35",
    "`n_predict`, `options.num_predict`, snake-case and nested limits next to `max_tokens: 1`, 20 at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(VARIANTS);

const VARIANTS: usize = 6;

async fn play(campaign: Campaign) {
    let request = one(&campaign);
    campaign.burst(20, |_| request.clone(), Leave::Never).await;
}

fn one(campaign: &Campaign) -> Request {
    let marker = |flavour| campaign.marker().at(flavour).out(LONG);
    match campaign.variant(VARIANTS) {
        0 => chat(&marker(Flavour::LlamaCpp), "Hello", r#""max_tokens":1,"n_predict":-1"#),
        1 => chat(&marker(Flavour::LlamaCpp), "Hello", r#""n_predict":20000,"max_tokens":1"#),
        2 => chat(&marker(Flavour::GoServer), "Hello", r#""max_tokens":1,"options":{"num_predict":20000}"#),
        3 => {
            let config = r#""generationConfig":{"max_output_tokens":20000}"#;
            gemini(&marker(Flavour::Gemini), false, "", config)
        }
        4 => {
            let config = r#""generation_config":{"maxOutputTokens":20000}"#;
            gemini(&marker(Flavour::Gemini), false, "", config)
        }
        _ => {
            let members =
                r#""inferenceConfig":{"maxTokens":1},"additionalModelRequestFields":{"max_tokens":20000}"#;
            converse(&marker(Flavour::Bedrock), false, "", members)
        }
    }
}
