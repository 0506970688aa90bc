//! A21: open streams with large headers and half a body, which hold memory for nothing.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::{Framing, Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "slow_bodies",
    "A21",
    "40 requests at once with 15 KB of headers that never send the second half of their bodies",
    |campaign| Box::pin(play(campaign)),
);

async fn play(campaign: Campaign) {
    let whole = chat(&campaign.marker(), &"x".repeat(30_000), "");
    let length = whole.body.len().to_string();
    let half = Request { body: whole.body[..whole.body.len() / 2].to_vec(), framing: Framing::Own, ..whole };
    let request = half.header("x-padding", "p".repeat(15_000)).header("content-length", length);
    campaign.burst(40, |_| request.clone(), Leave::AfterMs(1500)).await;
}
