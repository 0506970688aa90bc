//! Limits that only some parsers find: in other case, twice, with escapes, with letters that Go folds into ASCII.

use super::{Kind, LONG};
use crate::attack::kinds::bodies::chat;
use crate::attack::server::flavour::Flavour;
use crate::attack::wire::Leave;
use crate::attack::world::Campaign;

pub const KIND: Kind = Kind::new(
    "cased_members",
    "-",
    "`Max_Tokens`, the same member twice, escapes and folded letters in names, ten at once",
    |campaign| Box::pin(play(campaign)),
)
.in_variants(MEMBERS.len());

const MEMBERS: [&str; 9] = [
    r#""max_tokens":1,"Max_Tokens":20000"#,
    r#""max_tokens":1,"MAX_TOKENS":0"#,
    r#""max_tokens":1,"max_to\u212aens":20000"#,
    r#""max_tokens":1,"max_token\u017f":20000"#,
    r#""max_tokens":1,"max_tokens":20000"#,
    r#""max_tokens":20000,"max_tokens":1"#,
    r#""max_tokens":1,"max\u005ftokens":20000"#,
    r#""max_tokens":1,"Max_Completion_Tokens":20000"#,
    r#""max_tokens":1,"max_completion_tokens":20000"#,
];

async fn play(campaign: Campaign) {
    let flavour = *campaign.pick(&[Flavour::GoServer, Flavour::GoServer, Flavour::Vllm, Flavour::OpenAi]);
    let marker = campaign.marker().at(flavour).out(LONG);
    let members = MEMBERS[campaign.variant(MEMBERS.len())];
    campaign.burst(10, |_| chat(&marker, "Hello", members), Leave::Never).await;
}
