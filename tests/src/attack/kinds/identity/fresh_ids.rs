//! A12: fresh budgets by a new session id for every turn, by none, or by one that is too long to be looked at.

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const NEW: Kind = Kind::new("fresh_ids", "A12", "a new session id for each of 50 turns", |campaign| {
    Box::pin(new(campaign))
})
.of_caller();
pub const NONE: Kind =
    Kind::new("no_id", "A12", "50 turns without a session id", |campaign| Box::pin(none(campaign)))
        .of_caller()
        .without_ids();
pub const LONG: Kind =
    Kind::new("long_id", "A12", "50 turns with ids of 256 bytes", |campaign| Box::pin(long(campaign)))
        .of_caller()
        .without_ids();

const TURNS: u64 = 50;

fn request(campaign: &Campaign) -> Request {
    chat(&campaign.marker().out(900), "Hello", "")
}

async fn new(campaign: Campaign) {
    for turn in 0..TURNS {
        let id = format!("{}-{turn}", campaign.account);
        campaign.turn_as(Listener::Main, "", &id, request(&campaign), Leave::Never).await;
    }
}

async fn none(campaign: Campaign) {
    for _ in 0..TURNS {
        campaign.send(Listener::Main, request(&campaign), Leave::Never).await;
    }
}

async fn long(campaign: Campaign) {
    for turn in 0..TURNS {
        let id = format!("{}-{turn}-{}", campaign.account, "x".repeat(256));
        campaign.turn_as(Listener::Main, "", &id, request(&campaign), Leave::Never).await;
    }
}
