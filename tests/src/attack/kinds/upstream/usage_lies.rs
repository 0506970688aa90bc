//! A23, A27: usage that is absurd, negative, zero, missing, late, repeated, of another type, or in the text.
//!
//! The answer is real and billed as it is. Neither may an account be closed by an absurd number, nor be spared.

use super::Kind;
use crate::attack::kinds::bodies::{chat, converse, gemini, messages, responses};
use crate::attack::marker::{Marker, Report};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const ABSURD: Kind = Kind::new("usage_absurd", "A27", "10^15 tokens of usage, 20 turns", |c| {
    Box::pin(play(c, Report::Absurd))
})
.in_variants(VARIANTS);
pub const NEGATIVE: Kind =
    Kind::new("usage_negative", "A27", "usage below zero, 20 turns", |c| Box::pin(play(c, Report::Negative)))
        .in_variants(VARIANTS);
pub const ZERO: Kind =
    Kind::new("usage_zero", "A27", "usage of 0, 20 turns", |c| Box::pin(play(c, Report::Zero)))
        .in_variants(VARIANTS);
pub const MISSING: Kind = Kind::new("usage_missing", "A06", "no usage, hidden thought, 20 turns", |c| {
    Box::pin(play(c, Report::Missing))
})
.in_variants(VARIANTS);
pub const LATE: Kind = Kind::new("usage_late", "A23", "usage after the end of the stream, 20 turns", |c| {
    Box::pin(play(c, Report::Late))
})
.in_variants(VARIANTS);
pub const REPEATED: Kind =
    Kind::new("usage_repeated", "A23", "usage, then another of one token, 20 turns", |c| {
        Box::pin(play(c, Report::Repeated))
    })
    .in_variants(VARIANTS);
pub const STRINGS: Kind =
    Kind::new("usage_strings", "A23", "usage in strings, 20 turns", |c| Box::pin(play(c, Report::Strings)))
        .in_variants(VARIANTS);
pub const IN_TEXT: Kind = Kind::new("usage_in_text", "A23", "a false usage in the text, 20 turns", |c| {
    Box::pin(play(c, Report::InText))
})
.in_variants(VARIANTS);

/// Forms of an answer: APIs, whole and as a stream.
const VARIANTS: usize = 8;

async fn play(campaign: Campaign, report: Report) {
    let kind = campaign.variant(VARIANTS);
    // Thought that no text shows makes an estimate by bytes fall short.
    let hidden = if report == Report::InText { 0 } else { 700 };
    let request = one(kind, Marker { report, hidden, ..campaign.marker().out(800) });
    for _ in 0..20 {
        campaign.turn(request.clone(), Leave::Never).await;
    }
}

fn one(kind: usize, marker: Marker) -> Request {
    let stream = r#""stream":true"#;
    match kind {
        0 => chat(&marker, "Hello", ""),
        1 => chat(&marker, "Hello", stream),
        2 => responses(&marker, "", stream),
        3 => messages(&marker.at(Flavour::Anthropic), "", r#""max_tokens":900"#),
        4 => messages(&marker.at(Flavour::Anthropic), "", r#""max_tokens":900,"stream":true"#),
        5 => gemini(&marker.at(Flavour::Gemini), true, "", ""),
        6 => converse(&marker.at(Flavour::Bedrock), false, "", ""),
        _ => converse(&marker.at(Flavour::Bedrock), true, "", ""),
    }
}
