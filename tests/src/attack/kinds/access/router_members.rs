//! A11: members by which a router behind the filter serves another, more expensive model, or buys plugins.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "router_members",
    "A11",
    "`models`, `fallbacks`, `route`, `provider`, `plugins` …: a model that costs five times as much; 20 turns",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(MEMBERS.len());

const MEMBERS: [&str; 8] = [
    r#""models":["premium"]"#,
    r#""fallbacks":["premium"]"#,
    r#""route":"fallback""#,
    r#""provider":{"order":["premium"]}"#,
    r#""plugins":[{"id":"web"}]"#,
    r#""router_settings_override":{"fallbacks":[{"auto":["premium"]}]}"#,
    r#""api_base":"https://example.com""#,
    r#""transforms":["middle-out"],"models":["premium"]"#,
];

async fn play(campaign: Campaign) {
    let marker = campaign.marker().at(Flavour::Router).out(300);
    let members = format!(r#""max_tokens":300,{}"#, MEMBERS[campaign.variant(MEMBERS.len())]);
    campaign.burst(4, |_| chat(&marker, "Hello", &members), Leave::Never).await;
    for _ in 0..16 {
        campaign.turn(chat(&marker, "Hello", &members), Leave::Never).await;
    }
}
