//! A24: framings on which two readers may disagree about where a request ends. A second request hides behind it.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::{Framing, Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "smuggling",
    "A24",
    "two lengths, length and chunks, odd chunk sizes, with a second request inside; 9 turns",
    |campaign| Box::pin(play(campaign)),
);

const HEADERS: [&[(&str, &str)]; 9] = [
    &[("content-length", "LENGTH"), ("transfer-encoding", "chunked")],
    &[("transfer-encoding", "chunked"), ("content-length", "LENGTH")],
    &[("content-length", "LENGTH"), ("content-length", "5")],
    &[("content-length", "+LENGTH")],
    &[("content-length", "LENGTH, 5")],
    &[("transfer-encoding", "xchunked"), ("content-length", "LENGTH")],
    &[("transfer-encoding", "chunked, identity"), ("content-length", "LENGTH")],
    &[("content-length", "LENGTH"), ("connection", "content-length")],
    &[("content-length", "LENGTH"), ("expect", "100-continue")],
];

async fn play(campaign: Campaign) {
    let marker = campaign.marker().out(300);
    for own in HEADERS {
        // On its own it is accounted like any other.
        let inner = chat(&marker, "Hello", "").header("x-session-id", campaign.account.clone());
        let outer = chat(&marker, "Hello", r#""max_tokens":1"#);
        let length = outer.body.len().to_string();
        let headers = own.iter();
        let mut request = headers
            .fold(Request { framing: Framing::Own, ..outer }, |request, (name, value)| {
                request.header(name, value.replace("LENGTH", &length))
            });
        request.body.extend(inner.bytes());
        campaign.turn(request, Leave::AfterMs(500)).await;
    }
}
