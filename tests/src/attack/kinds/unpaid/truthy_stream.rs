//! A06: a value that a lenient server takes for true, so that the filter does not ask for the stream's usage.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::marker::Marker;
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "truthy_stream",
    "A06",
    "`stream` as 1, \"true\", \"on\", {} …: whole streams without usage, 20 turns in a row",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(PYDANTIC.len() + JAVASCRIPT.len());

const PYDANTIC: [&str; 8] = ["1", "1.0", "\"true\"", "\"on\"", "\"yes\"", "\"Y\"", "\"1\"", "\"T\""];
const JAVASCRIPT: [&str; 5] = ["1", "\"false\"", "{}", "[]", "-1"];

async fn play(campaign: Campaign) {
    let variant = campaign.variant(PYDANTIC.len() + JAVASCRIPT.len());
    let (flavour, value) = match PYDANTIC.get(variant) {
        Some(value) => (*campaign.pick(&[Flavour::Vllm, Flavour::Router]), value),
        None => (Flavour::Express, &JAVASCRIPT[variant - PYDANTIC.len()]),
    };
    let members = match campaign.draw(4) {
        0 => format!(r#""stream":false,"stream":{value}"#),
        1 => format!(r#""stream":{value},"stream_options":{{"include_usage":false}}"#),
        2 => r#""stream":true,"stream_options":{"include_usage":true},"stream_options":{"include_usage":false}"#.to_owned(),
        _ => format!(r#""stream":{value}"#),
    };
    let marker = Marker { hidden: 880, ..campaign.marker().at(flavour).out(900) };
    for _ in 0..20 {
        campaign.turn(chat(&marker, "Hello", &members), Leave::Never).await;
    }
}
