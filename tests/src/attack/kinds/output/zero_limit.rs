//! A07: a limit that is nothing to the filter and no limit to a server: 0, below zero, of another type.

use super::{Kind, LONG};
use crate::attack::kinds::bodies::{chat, gemini};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "zero_limit",
    "A07",
    "limits of 0, below 0 and of odd types at servers that ignore them, ten at once and ten in a row",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(VALUES.len() + 1);

const VALUES: [&str; 12] =
    ["0", "-1", "-0", "0.0", "0.4", "1e-9", "\"1\"", "\"\"", "[]", "false", "null", "-9e99"];
const NAMES: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

async fn play(campaign: Campaign) {
    let request = if let Some(value) = VALUES.get(campaign.variant(VALUES.len() + 1)) {
        let flavour = *campaign.pick(&[Flavour::GoServer, Flavour::LlamaCpp, Flavour::Express]);
        let marker = campaign.marker().at(flavour).out(LONG);
        chat(&marker, "Hello", &format!(r#""{}":{value}"#, campaign.pick(&NAMES)))
    } else {
        let value = *campaign.pick(&["0", "\"0\"", "null"]);
        let marker = campaign.marker().at(Flavour::Gemini).out(LONG);
        gemini(&marker, false, "", &format!(r#""generationConfig":{{"maxOutputTokens":{value}}}"#))
    };
    campaign.burst(10, |_| request.clone(), Leave::Never).await;
    for _ in 0..10 {
        campaign.turn(request.clone(), Leave::Never).await;
    }
}
