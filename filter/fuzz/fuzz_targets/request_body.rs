//! A request's body: any cut gives the same facts, and whatever is sent upstream in its place has the declared length; each
//! of the common parsers reads from it the chosen model, no more than was reserved, and nothing that is paid for apart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::body::edits::ServedBy;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::request::api::Api;
use seqroute_core::wire::json::Progress;
use seqroute_fuzz::readers::tree::Tree;
use seqroute_fuzz::readers::{Bounds, check};
use seqroute_fuzz::{APIS, Input};

const CAP_TOKENS: u64 = 40;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let api = input.pick(&APIS);
    let (mut whole, mut cut) = (RequestBody::new(api), RequestBody::new(api));
    whole.scan(input.text);
    input.pieces().into_iter().for_each(|piece| cut.scan(piece));
    assert_eq!(whole.progress(), cut.progress());
    if whole.progress() == Progress::Invalid {
        return;
    }
    assert_eq!(whole.facts(), cut.facts());
    if whole.progress() == Progress::Complete {
        rewrite(&input, api);
    }
});

/// Sends a complete body as the filter does: the first piece is held until the decision, the others follow.
fn rewrite(input: &Input<'_>, api: Api) {
    let (mut body, mut sent, mut declared, mut answers) = (RequestBody::new(api), Vec::new(), 0, 1);
    for (number, piece) in input.pieces().into_iter().enumerate() {
        body.scan(piece);
        if number == 0 {
            answers = body.facts().answers;
            body.decide(&ServedBy::named("large"), Some(CAP_TOKENS.saturating_mul(answers)));
        }
        let new = body.rewrite(piece).unwrap_or_else(|| piece.to_vec());
        if number == 0 {
            declared = body.fix_length(input.text.len() as u64, piece.len(), new.len());
        }
        sent.extend(new);
    }
    if body.overran() || body.progress() == Progress::Invalid {
        return;
    }
    assert_eq!(sent.len() as u64, declared);
    if Tree::parse(input.text).is_none() || body.is_forbidden() {
        return;
    }
    let tree = Tree::parse(&sent).expect("JSON stays JSON");
    let bounds = Bounds { model: "large", limit_tokens: CAP_TOKENS, answers };
    if let Err(fault) = check(api, bounds, &tree) {
        panic!("{fault}: {}", String::from_utf8_lossy(&sent));
    }
}
