//! A11's neighbours: members that make tokens cost more, and tools that a provider runs and bills by the call.

use super::Kind;
use crate::attack::kinds::bodies::{chat, converse, gemini, messages, responses};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const TIERS: Kind = Kind::new(
    "better_tiers",
    "-",
    "`service_tier`, `speed`, `performanceConfig`: tokens at twice the price; 20 turns",
    |campaign| Box::pin(play(campaign, tier)),
)
.in_variants(TIER_VARIANTS);
pub const TOOLS: Kind = Kind::new(
    "paid_tools",
    "-",
    "web search, code interpreter, file search: tools that the provider runs and bills; 20 turns",
    |campaign| Box::pin(play(campaign, tool)),
)
.in_variants(TOOL_VARIANTS);

const TIER_VARIANTS: usize = 6;
const TOOL_VARIANTS: usize = 8;

async fn play(campaign: Campaign, request: fn(&Campaign) -> Request) {
    let request = request(&campaign);
    campaign.burst(4, |_| request.clone(), Leave::Never).await;
    for _ in 0..16 {
        campaign.turn(request.clone(), Leave::Never).await;
    }
}

fn tier(campaign: &Campaign) -> Request {
    let marker = |flavour| campaign.marker().at(flavour).out(400);
    match campaign.variant(TIER_VARIANTS) {
        0 => chat(&marker(Flavour::OpenAi), "Hello", r#""max_tokens":400,"service_tier":"priority""#),
        1 => responses(&marker(Flavour::OpenAi), "", r#""max_output_tokens":400,"service_tier":"priority""#),
        2 => messages(&marker(Flavour::Anthropic), "", r#""max_tokens":400,"speed":"fast""#),
        3 => converse(&marker(Flavour::Bedrock), false, "", r#""performanceConfig":{"latency":"optimized"}"#),
        4 => chat(&marker(Flavour::GoServer), "Hello", r#""max_tokens":400,"Service_Tier":"priority""#),
        _ => converse(&marker(Flavour::Bedrock), false, "", r#""serviceTier":{"type":"priority"}"#),
    }
}

fn tool(campaign: &Campaign) -> Request {
    let marker = |flavour| campaign.marker().at(flavour);
    match campaign.variant(TOOL_VARIANTS) {
        0 => responses(&marker(Flavour::OpenAi), "", r#""tools":[{"type":"web_search"}]"#),
        1 => responses(
            &marker(Flavour::OpenAi),
            "",
            r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#,
        ),
        2 => chat(&marker(Flavour::OpenAi), "Hello", r#""max_tokens":40,"web_search_options":{}"#),
        3 => messages(
            &marker(Flavour::Anthropic),
            "",
            r#""max_tokens":40,"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":10}]"#,
        ),
        4 => gemini(&marker(Flavour::Gemini), false, "", r#""tools":[{"google_search":{}}]"#),
        5 => chat(&marker(Flavour::GoServer), "Hello", r#""max_tokens":40,"Tools":[{"type":"web_search"}]"#),
        6 => chat(&marker(Flavour::GoServer), "Hello", r#""max_tokens":40,"tools":[{"TYPE":"web_search"}]"#),
        _ => gemini(&marker(Flavour::Gemini), false, "", r#""tools":[{"googleSearch":{}}]"#),
    }
}
