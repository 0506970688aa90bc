//! A compressed body: a few kilobytes that a lenient server inflates to a whole context.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Kind;
use crate::attack::kinds::bodies::{chat, prose};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "compressed",
    "-",
    "gzip bodies that inflate to 400 KB at a server that inflates, eight at once",
    |campaign| Box::pin(play(campaign)),
);

async fn play(campaign: Campaign) {
    let plain = chat(&campaign.marker().at(Flavour::Express), &prose(400_000), r#""max_tokens":1"#);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(body) = encoder.write_all(&plain.body).and_then(|()| encoder.finish()) else { return };
    let mut request = plain.header("content-encoding", "gzip");
    request.body = body;
    campaign.burst(8, |_| request.clone(), Leave::Never).await;
}
