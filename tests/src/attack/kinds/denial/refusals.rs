//! A36: a session that is used up goes on asking. A refusal should cost little, so it should keep the connection.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "refusals",
    "A36",
    "a used-up session asks 100 times more; a refusal that closes the connection is a harm",
    |campaign| Box::pin(play(campaign)),
);

async fn play(campaign: Campaign) {
    let spend = chat(&campaign.marker().out(2500), "Hello", r#""max_tokens":2500"#);
    campaign.burst(8, |_| spend.clone(), Leave::Never).await;
    for _ in 0..100 {
        let reply = campaign.turn(chat(&campaign.marker().out(3000), "Hello", ""), Leave::Never).await;
        if reply.is_refused() && reply.closes {
            campaign.harm();
        }
    }
}
