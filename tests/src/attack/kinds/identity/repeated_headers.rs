//! A12: a trusted header twice. A proxy in front has appended the caller's team; the caller has put another before it.

use super::Kind;
use crate::attack::gateway::{Listener, TEAM_HEADER};
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "repeated_headers",
    "A12",
    "`x-team` and the session id twice: an answer is a harm, for it is undecided who pays; 10 turns",
    |campaign| Box::pin(play(campaign)),
)
.of_caller()
.at(Listener::Teams);

async fn play(campaign: Campaign) {
    for turn in 0..10 {
        let own = campaign.team("own");
        let stolen = format!("made-up-{}-{turn}", campaign.number);
        let request = chat(&campaign.marker().out(100), "Hello", "").header(TEAM_HEADER, stolen.clone());
        // The ledger may follow either name.
        campaign.register(&own, &campaign.account);
        campaign.register(&stolen, &campaign.account);
        let request = request.header(TEAM_HEADER, own).header("x-session-id", campaign.account.clone());
        if campaign.send(Listener::Teams, request, Leave::Never).await.is_served() {
            campaign.harm();
        }
    }
}
