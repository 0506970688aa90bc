//! A20: bodies that take a scanner longest for their size: lists of digits, empty names, deep nesting, escapes.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "heavy_json",
    "A20",
    "bodies of 2 MB that take longest to scan, four at once; honest clients feel it",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(4);

const BYTES: usize = 2_000_000;

async fn play(campaign: Campaign) {
    let filling = match campaign.variant(4) {
        0 => format!("[{}1]", "1,".repeat(BYTES / 2)),
        1 => format!("[{}{{}}]", r#"{"":0},"#.repeat(BYTES / 7)),
        2 => format!("{}{}", "[".repeat(50_000), "]".repeat(50_000)),
        _ => format!(r#""{}""#, r"\u0041".repeat(BYTES / 6)),
    };
    let members = format!(r#""max_tokens":1,"padding":{filling}"#);
    campaign.burst(4, |_| chat(&campaign.marker(), "Hello", &members), Leave::Never).await;
}
