//! The usage event is hidden from clients that did not ask: any cut gives the client the same, nothing is added,
//! where nothing was hidden nothing is missing, and only comments overtake what is held.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::answer::hide_usage::UsageHider;
use seqroute_core::wire::lines::{Lines, Part};
use seqroute_fuzz::Input;

fn pass(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
    let (mut hider, mut passed) = (UsageHider::default(), Vec::new());
    for piece in pieces {
        passed.extend_from_slice(&hider.pass(piece, false));
    }
    passed.extend_from_slice(&hider.pass(&[], true));
    (passed, hider.hidden())
}

/// The lines that may be fields of an event, with their ends, and the others.
fn fields_and_others(text: &[u8]) -> [Vec<u8>; 2] {
    let (mut lines, mut rest) = (Lines::default(), text);
    let (mut found, mut to, mut at_start) = ([Vec::new(), Vec::new()], 0, true);
    while let Some((part, piece, after)) = lines.next(rest) {
        if at_start && part != Part::LineFeed {
            to = usize::from(!matches!(piece[0], b'd' | b'e' | b'i' | b'r' | b'\r' | b'\n'));
        }
        at_start = part != Part::Inner;
        found[to].extend_from_slice(piece);
        rest = after;
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (passed, hidden) = pass(&input.pieces());
    assert_eq!((&passed, hidden), (&pass(&[input.text]).0, hidden));
    let [[passed_fields, passed_others], [fields, others]] = [&passed[..], input.text].map(fields_and_others);
    assert_eq!(passed_others, others, "what is no field passes");
    if hidden == 0 {
        assert_eq!(passed_fields, fields);
    }
    let mut rest = fields.iter();
    assert!(
        passed_fields.iter().all(|byte| rest.any(|sent| sent == byte)),
        "the client gets what was sent, in its order"
    );
});
