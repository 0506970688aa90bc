//! One request, many answers, each paid: `n`, `best_of`, `candidateCount` and their likes.

use super::Kind;
use crate::attack::kinds::bodies::{chat, gemini};
use crate::attack::server::flavour::{CHAT, Flavour};
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "many_answers",
    "A11",
    "`n`, `best_of`, `num_return_sequences`, `candidateCount`: many answers to one request, eight at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(MEMBERS.len() + 1);

const MEMBERS: [&str; 7] = [
    r#""n":64"#,
    r#""n":"64""#,
    r#""n":64.0"#,
    r#""best_of":64"#,
    r#""n_cmpl":64"#,
    r#""num_return_sequences":64"#,
    r#""n":1,"n":64"#,
];

async fn play(campaign: Campaign) {
    let request = if let Some(member) = MEMBERS.get(campaign.variant(MEMBERS.len() + 1)) {
        let marker = campaign.marker().at(*campaign.pick(&CHAT)).out(200);
        chat(&marker, "Hello", &format!(r#""max_tokens":200,{member}"#))
    } else {
        let config =
            *campaign.pick(&[r#""candidateCount":8"#, r#""candidate_count":8"#, r#""candidateCount":"8""#]);
        let members = format!(r#""generationConfig":{{"maxOutputTokens":200,{config}}}"#);
        gemini(&campaign.marker().at(Flavour::Gemini).out(200), false, "", &members)
    };
    campaign.burst(8, |_| request.clone(), Leave::Never).await;
}
