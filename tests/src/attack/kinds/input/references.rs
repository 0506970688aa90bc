//! A03: a few bytes name a hundred thousand tokens: files, documents, stored prompts, cached content, images.

use super::Kind;
use crate::attack::kinds::bodies::{chat_parts, converse, gemini, messages, responses};
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::{Leave, Request};
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "references",
    "A03",
    "images, files, stored prompts and cached content by reference, 12 turns at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(VARIANTS);

const AT_ONCE: u64 = 12;
const VARIANTS: usize = 11;

async fn play(campaign: Campaign) {
    let request = one(&campaign);
    campaign.burst(AT_ONCE, |_| request.clone(), Leave::Never).await;
}

fn one(campaign: &Campaign) -> Request {
    let marker = campaign.marker();
    let least = r#""max_output_tokens":16"#;
    match campaign.variant(VARIANTS) {
        0 => {
            let image =
                r#"{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"high"}}"#;
            let images = vec![image; 50].join(",");
            chat_parts(&marker, &images, r#""max_tokens":1"#)
        }
        1 => chat_parts(&marker, r#"{"type":"file","file":{"file_id":"file-1"}}"#, r#""max_tokens":1"#),
        2 => responses(&marker, r#",{"type":"input_file","file_url":"https://example.com/a.pdf"}"#, least),
        3 => responses(&marker, r#",{"type":"input_file","file_id":"file-1"}"#, least),
        4 => responses(&marker, "", &format!(r#"{least},"prompt":{{"id":"pmpt_1","version":"2"}}"#)),
        5 => responses(&marker, "", &format!(r#"{least},"previous_response_id":"resp_1""#)),
        6 => responses(&marker, "", &format!(r#"{least},"conversation":"conv_1""#)),
        7 => {
            let document =
                r#",{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}"#;
            messages(&marker.at(Flavour::Anthropic), document, r#""max_tokens":1"#)
        }
        8 => {
            let file = r#",{"fileData":{"mimeType":"video/mp4","fileUri":"https://example.com/film.mp4"}}"#;
            gemini(&marker.at(Flavour::Gemini), false, file, r#""generationConfig":{"maxOutputTokens":1}"#)
        }
        9 => {
            let members = r#""cachedContent":"cachedContents/1","generationConfig":{"maxOutputTokens":1}"#;
            gemini(&marker.at(Flavour::Gemini), false, "", members)
        }
        _ => {
            let document =
                r#",{"document":{"format":"pdf","name":"a","source":{"s3Location":{"uri":"s3://a/b"}}}}"#;
            converse(&marker.at(Flavour::Bedrock), false, document, r#""inferenceConfig":{"maxTokens":1}"#)
        }
    }
}
