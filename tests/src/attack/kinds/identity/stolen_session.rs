//! A12: a caller of another team uses a victim's session id. The victim must not be refused, and must not pay.

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "stolen_session",
    "A12",
    "another team spends under a victim's session id; a refused victim is a harm; 12 turns and one of the victim",
    |campaign| Box::pin(play(campaign)),
)
.of_caller()
.at(Listener::Teams);

async fn play(campaign: Campaign) {
    let (victim, thief) = (campaign.team("victim"), campaign.team("thief"));
    for _ in 0..12 {
        let request = chat(&campaign.marker().out(900), "Hello", "");
        campaign.turn_as(Listener::Teams, &thief, &campaign.account, request, Leave::Never).await;
    }
    let request = chat(&campaign.marker().out(1), "Hello", r#""max_tokens":1"#);
    if campaign.turn_as(Listener::Teams, &victim, &campaign.account, request, Leave::Never).await.is_refused()
    {
        campaign.harm();
    }
}
