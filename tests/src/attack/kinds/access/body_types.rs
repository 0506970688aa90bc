//! Bodies that do not call themselves JSON, at servers that read them as JSON all the same.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "body_types",
    "-",
    "JSON as text, form, bytes, of other character sets, or of no type; four at once and 12 in a row",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(TYPES.len());

const TYPES: [&[&str]; 9] = [
    &[],
    &["text/plain"],
    &["application/octet-stream"],
    &["application/x-www-form-urlencoded"],
    &["multipart/form-data; boundary=x"],
    &["application/json; charset=utf-16"],
    &["application/vnd.api+json"],
    &["application/grpc"],
    &["text/plain", "application/json"],
];

async fn play(campaign: Campaign) {
    // Neither looks at the type.
    let flavour = *campaign.pick(&[Flavour::LlamaCpp, Flavour::GoServer]);
    let json = chat(&campaign.marker().at(flavour).out(900), "Hello", "");
    let bare = Request { headers: Vec::new(), ..json };
    let types = TYPES[campaign.variant(TYPES.len())].iter();
    let request = types.fold(bare, |request, name| request.header("content-type", *name));
    campaign.burst(4, |_| request.clone(), Leave::Never).await;
    for _ in 0..12 {
        campaign.turn(request.clone(), Leave::Never).await;
    }
}
