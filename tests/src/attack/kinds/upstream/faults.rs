//! A22: answers that break, stall, or call themselves something else.

use super::Kind;
use crate::attack::kinds::bodies::{chat, messages};
use crate::attack::marker::{Fault, Marker};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const RESET: Kind =
    Kind::new("fault_reset", "A22", "reset in the middle, hidden thought, 20 turns", |c| {
        Box::pin(play(c, Fault::Reset))
    })
    .in_variants(4);
pub const STALL: Kind =
    Kind::new("fault_stall", "A22", "silence in the middle, then a reset, 6 turns", |c| {
        Box::pin(play(c, Fault::Stall))
    })
    .in_variants(4);
pub const OTHER_TYPE: Kind =
    Kind::new("fault_other_type", "A22", "a stream called JSON and JSON called a stream", |c| {
        Box::pin(play(c, Fault::OtherType))
    })
    .in_variants(4);
pub const NO_TYPE: Kind =
    Kind::new("fault_no_type", "A22", "no content type, 20 turns", |c| Box::pin(play(c, Fault::NoType)))
        .in_variants(4);
pub const STATUS_206: Kind = Kind::new("fault_status_206", "A22", "status 206, paid, 20 turns", |c| {
    Box::pin(play(c, Fault::Status206))
})
.in_variants(4);
pub const STATUS_500: Kind = Kind::new(
    "fault_status_500",
    "A22",
    "status 500 with a whole paid answer and its usage, 20 turns",
    |c| Box::pin(play(c, Fault::Status500)),
)
.in_variants(4);

async fn play(campaign: Campaign, fault: Fault) {
    let variant = campaign.variant(4);
    let stream = variant.is_multiple_of(2);
    let marker = Marker { fault, hidden: 700, ..campaign.marker().out(800) };
    let request = match variant / 2 {
        0 => chat(&marker, "Hello", &format!(r#""stream":{stream}"#)),
        _ => messages(&marker.at(Flavour::Anthropic), "", &format!(r#""max_tokens":900,"stream":{stream}"#)),
    };
    let turns = if fault == Fault::Stall { 6 } else { 20 };
    for _ in 0..turns {
        campaign.turn(request.clone(), Leave::Never).await;
    }
}
