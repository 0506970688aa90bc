//! A12: a budget for every team that the caller makes up.

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new("invented_teams", "A12", "a new team for each of 40 turns", |campaign| {
    Box::pin(play(campaign))
})
.of_caller()
.at(Listener::Teams);

async fn play(campaign: Campaign) {
    for turn in 0..40 {
        let team = format!("made-up-{}-{turn}", campaign.number);
        let request = chat(&campaign.marker().out(900), "Hello", "");
        campaign.turn_as(Listener::Teams, &team, &campaign.account, request, Leave::Never).await;
    }
}
