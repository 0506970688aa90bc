//! A02: a body without a length, so that its size is unknown when the money is reserved.

use super::Kind;
use crate::attack::kinds::bodies::{chat, prose};
use crate::attack::wire::{Framing, Leave};
use crate::attack::world::Campaign;

pub const KIND: Kind =
    Kind::new("chunked", "A02", "long bodies in chunks, without a length, eight at once", |campaign| {
        Box::pin(play(campaign))
    });

async fn play(campaign: Campaign) {
    let marker = campaign.marker();
    let text = prose(480_000);
    let chunk = *campaign.pick(&[1000, 8192, 16_384, 65_535]);
    let request = chat(&marker, &text, r#""max_tokens":1"#).framed(Framing::Chunked(chunk));
    campaign.burst(8, |_| request.clone(), Leave::Never).await;
}
