//! A34: one member of a team holds all of its money for nothing, and a colleague is refused.

use std::time::Duration;

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::marker::Marker;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "held_money",
    "A34",
    "a turn that may cost all of a team's money is held and left; a refused colleague is a harm; 5 times",
    |campaign| Box::pin(play(campaign)),
)
.at(Listener::Teams);

async fn play(campaign: Campaign) {
    let team = campaign.team("held");
    let greedy = Marker { delay_ms: 300, ..campaign.marker().out(20) };
    for round in 0..5 {
        let hold = async {
            let request = chat(&greedy, "Hello", r#""max_tokens":1000000"#);
            campaign.turn_as(Listener::Teams, &team, &campaign.account, request, Leave::AfterMs(250)).await
        };
        let colleague = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let id = format!("{}-colleague-{round}", campaign.account);
            let request = chat(&campaign.marker().out(1), "Hello", r#""max_tokens":1"#);
            campaign.turn_as(Listener::Teams, &team, &id, request, Leave::Never).await
        };
        let (_, colleague) = tokio::join!(hold, colleague);
        if colleague.is_refused() {
            campaign.harm();
        }
    }
}
