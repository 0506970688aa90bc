//! A04, A05, A28: the client hangs up before the usage, before the first byte, or at any moment.

use super::Kind;
use crate::attack::kinds::bodies::{chat, messages, responses};
use crate::attack::marker::{Marker, Report};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const AT_WORDS: Kind = Kind::new(
    "leave_at_words",
    "A04",
    "hidden thought, a few words, and the client is gone before the usage; 60 turns in a row",
    |campaign| Box::pin(at_words(campaign)),
)
.in_variants(2);
pub const REFERENCED: Kind = Kind::new(
    "leave_referenced",
    "A04",
    "a stream over a file by URL that is left at the first words; 30 turns in a row",
    |campaign| Box::pin(referenced(campaign)),
);
pub const BEFORE_ANSWER: Kind = Kind::new(
    "leave_before_answer",
    "A05",
    "20 turns at once, all left before the first byte, ten times",
    |campaign| Box::pin(before_answer(campaign)),
)
.in_variants(2);
pub const AT_ANY_TIME: Kind = Kind::new(
    "leave_at_any_time",
    "A28",
    "streams and whole answers that are left at random moments; 30 turns in a row",
    |campaign| Box::pin(at_any_time(campaign)),
)
.in_variants(2);

const STREAM: &str = r#""stream":true"#;

async fn at_words(campaign: Campaign) {
    let thinking = Marker { hidden: 900, spread_ms: 300, report: Report::Late, ..campaign.marker().out(912) };
    let request = if campaign.variant(2) == 0 {
        chat(&thinking, "Hello", STREAM)
    } else {
        messages(&thinking.at(Flavour::Anthropic), "", r#""stream":true,"max_tokens":2000"#)
    };
    repeat(&campaign, 60, &request, Leave::AtFirstWords).await;
}

async fn referenced(campaign: Campaign) {
    let marker = Marker { spread_ms: 200, ..campaign.marker() };
    let file = r#",{"type":"input_file","file_url":"https://example.com/a.pdf"}"#;
    let request = responses(&marker, file, r#""stream":true,"max_output_tokens":16"#);
    repeat(&campaign, 30, &request, Leave::AtFirstWords).await;
}

async fn before_answer(campaign: Campaign) {
    let marker = Marker { delay_ms: 400, ..campaign.marker().out(300) };
    let members = [STREAM, r#""stream":false"#][campaign.variant(2)];
    for _ in 0..10 {
        campaign.burst(20, |_| chat(&marker, "Hello", members), Leave::AfterMs(150)).await;
    }
}

async fn at_any_time(campaign: Campaign) {
    let marker = Marker { delay_ms: 50, spread_ms: 150, hidden: 600, ..campaign.marker().out(900) };
    let members = [STREAM, r#""stream":false"#][campaign.variant(2)];
    for _ in 0..30 {
        let leave = Leave::AfterMs(campaign.draw(220));
        campaign.turn(chat(&marker, "Hello", members), leave).await;
    }
}

async fn repeat(campaign: &Campaign, turns: u64, request: &Request, leave: Leave) {
    for _ in 0..turns {
        campaign.turn(request.clone(), leave).await;
    }
}
