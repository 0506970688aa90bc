//! A14, A31: the tables of sessions and teams filled with cheap names, so that others are refused for lack of room.

use futures_util::future::join_all;

use super::Kind;
use crate::attack::gateway::{Listener, UNUSED_TEAM};
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::{Leave, Reply};
use crate::attack::world::Campaign;

pub const SESSIONS: Kind = Kind::new(
    "table_fill",
    "A14",
    "600 cheap sessions of a team in a table of 512; another team's refused session is a harm",
    |campaign| Box::pin(sessions(campaign)),
)
.of_caller()
.at(Listener::Crowded);
pub const TEAMS: Kind = Kind::new(
    "team_table_fill",
    "A31",
    "120 invented teams in a table of 64; a refused team that has a budget of its own is a harm",
    |campaign| Box::pin(teams(campaign)),
)
.of_caller()
.at(Listener::CrowdedTeams);

const AT_ONCE: u64 = 8;

async fn sessions(campaign: Campaign) {
    let session = async |team, name: String| {
        cheap(&campaign, Listener::Crowded, team, &format!("{}-{name}", campaign.account)).await
    };
    for round in 0..600 / AT_ONCE {
        join_all((0..AT_ONCE).map(|turn| session("silver", format!("{round}-{turn}")))).await;
    }
    for number in 0..3 {
        note(&campaign, &session("gold", format!("other-{number}")).await);
    }
}

async fn teams(campaign: Campaign) {
    let in_team =
        async |team: String| cheap(&campaign, Listener::CrowdedTeams, &team, &campaign.account).await;
    for round in 0..120 / AT_ONCE {
        let invented = |turn| format!("made-up-{}-{round}-{turn}", campaign.number);
        join_all((0..AT_ONCE).map(|turn| in_team(invented(turn)))).await;
    }
    note(&campaign, &in_team(UNUSED_TEAM.to_owned()).await);
}

async fn cheap(campaign: &Campaign, listener: Listener, team: &str, id: &str) -> Reply {
    let request = chat(&campaign.marker().out(1), "Hello", r#""max_tokens":1"#);
    campaign.turn_as(listener, team, id, request, Leave::Never).await
}

fn note(campaign: &Campaign, other: &Reply) {
    if other.is_refused() {
        campaign.harm();
    }
}
