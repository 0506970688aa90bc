//! A32, A13: a client's keys, cookies and raw session id must not reach a provider.

use super::Kind;
use crate::attack::gateway::Listener;
use crate::attack::kinds::bodies::chat;
use crate::attack::server::PRIVATE;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "foreign_credentials",
    "A32",
    "keys, cookies and the raw session id of the client at a provider; 12 turns in a row",
    |campaign| Box::pin(play(campaign)),
);

const HEADERS: [&str; 11] = [
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "x-session-id",
    "x-conversation-id",
    "session-id",
];

async fn play(campaign: Campaign) {
    let marker = campaign.marker();
    let id = format!("{PRIVATE}-{}", campaign.account);
    for name in HEADERS {
        let request = chat(&marker, "Hello", r#""max_tokens":20"#);
        if name.ends_with("-id") {
            let request = request.header(name, id.clone());
            // The id of a session under the name that the case is about.
            campaign.send_as(Listener::Main, &id, request, Leave::Never).await;
        } else {
            campaign.turn(request.header(name, PRIVATE), Leave::Never).await;
        }
    }
    let mut request = chat(&marker, "Hello", r#""max_tokens":20"#);
    request.target.push_str(&format!("?key={PRIVATE}"));
    campaign.turn(request, Leave::Never).await;
}
