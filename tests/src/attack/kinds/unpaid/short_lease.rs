//! A17: streams that outlive their lease, so that the money they hold is given out again.

use std::time::Duration;

use futures_util::future::join_all;

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::marker::Marker;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "short_lease",
    "A17",
    "six streams of 6 s over a lease of 1 s, each with the whole budget reserved",
    |campaign| Box::pin(play(campaign)),
)
.at(Listener::Leases);

/// Longer than the lease of the listener.
const APART: Duration = Duration::from_millis(1200);

async fn play(campaign: Campaign) {
    let marker = Marker { spread_ms: 6000, ..campaign.marker().out(3000) };
    let stream = |number: u32| {
        let (campaign, marker) = (&campaign, &marker);
        async move {
            tokio::time::sleep(APART * number).await;
            campaign
                .turn_at(
                    Listener::Leases,
                    chat(marker, "Hello", r#""stream":true,"max_tokens":3000"#),
                    Leave::Never,
                )
                .await
        }
    };
    join_all((0..6).map(stream)).await;
}
