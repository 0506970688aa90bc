//! Text whose bytes are more tokens than prose: rare signs, digits, punctuation.

use super::Kind;
use crate::attack::kinds::bodies::chat;
use crate::attack::server::flavour::CHAT;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "dense_text",
    "-",
    "rare signs, digits and punctuation: up to a token for each byte, eight turns at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(VARIANTS);

const CHARACTERS: u64 = 9000;
const VARIANTS: usize = 5;

async fn play(campaign: Campaign) {
    let marker = campaign.marker().at(*campaign.pick(&CHAT));
    let kind = campaign.variant(VARIANTS);
    let text: String = (0..CHARACTERS).map(|k| sign(kind, k)).collect();
    campaign.burst(8, |_| chat(&marker, &text, r#""max_tokens":1"#), Leave::Never).await;
}

fn sign(kind: usize, k: u64) -> char {
    let from = |first: u32, count: u64| char::from_u32(first + (k * 7 % count) as u32).unwrap_or('x');
    match kind {
        // Alchemical symbols, hieroglyphs, Yi syllables.
        0 => from(0x1f700, 100),
        1 => from(0x13000, 900),
        2 => from(0xa000, 1100),
        3 => *[b'7', b'}', b'3', b'~', b'q', b'@', b'Z', b'^'].get((k % 8) as usize).unwrap_or(&b'x') as char,
        _ => from(0x1f600, 60),
    }
}
