//! A37: the server stores the answer, the client leaves, and fetches it by a call that is not accounted.

use super::Kind;
use crate::attack::kinds::bodies::{chat, responses};
use crate::attack::marker::Marker;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "stored_answer",
    "A37",
    "`store` and `background`: left at once, fetched by GET; 12 times in a row",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(3);

async fn play(campaign: Campaign) {
    let marker = Marker { delay_ms: 250, ..campaign.marker().out(600) };
    let kind = campaign.variant(3);
    for _ in 0..12 {
        let request = match kind {
            0 => chat(&marker, "Hello", r#""store":true,"metadata":{"k":"1"}"#),
            1 => responses(&marker, "", r#""store":true,"max_output_tokens":800"#),
            _ => responses(&marker, "", r#""background":true,"max_output_tokens":800"#),
        };
        let leave = if kind == 2 { Leave::Never } else { Leave::AfterMs(100) };
        campaign.turn(request, leave).await;
        let target = match kind {
            0 => format!("/v1/chat/completions?metadata[k]=1&m={marker}"),
            _ => format!("/v1/responses/resp_1?m={marker}"),
        };
        campaign.turn(Request::bare("GET", target), Leave::Never).await;
    }
}
