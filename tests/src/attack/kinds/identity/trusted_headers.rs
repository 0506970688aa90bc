//! A25: headers that only a trusted hop may set: budget, cluster, λ, debug, retries.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "trusted_headers",
    "A25",
    "budget, cluster, λ and retry headers of the client, in other case and twice; 24 turns",
    |campaign| Box::pin(play(campaign)),
);

const HEADERS: [&[(&str, &str)]; 8] = [
    &[("x-seqroute-budget-usd", "1000")],
    &[("X-SeqRoute-Budget-USD", "1000"), ("x-seqroute-budget-usd", "1000")],
    &[("x-seqroute-cluster", "large"), ("X-SEQROUTE-CLUSTER", "large")],
    &[("x-seqroute-cluster", "large"), ("connection", "x-seqroute-cluster")],
    &[("x-seqroute-lambda", "0"), ("x-seqroute-debug", "1")],
    &[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "9")],
    &[("x-forwarded-for", "10.0.0.1"), ("x-real-ip", "10.0.0.1")],
    &[("x-seqroute-model", "large"), ("x-seqroute-session", "0123456789abcdef0123456789abcdef")],
];

async fn play(campaign: Campaign) {
    let marker = campaign.marker().out(900);
    for own in HEADERS.iter().cycle().take(24) {
        let headers = own.iter();
        let request: Request =
            headers.fold(chat(&marker, "Hello", ""), |request, (name, value)| request.header(name, *value));
        campaign.turn(request, Leave::Never).await;
    }
}
