//! The usage event is hidden from clients that did not ask: any cut gives the client the same, nothing is added,
//! and where nothing was hidden nothing is missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::answer::hide_usage::UsageHider;
use seqroute_fuzz::Input;

fn pass(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
    let (mut hider, mut passed) = (UsageHider::default(), Vec::new());
    for piece in pieces {
        passed.extend_from_slice(&hider.pass(piece, false));
    }
    passed.extend_from_slice(&hider.pass(&[], true));
    (passed, hider.hidden())
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (passed, hidden) = pass(&input.pieces());
    if input.text.len() < 8192 {
        assert_eq!((&passed, hidden), (&pass(&[input.text]).0, hidden));
    }
    if hidden == 0 {
        assert_eq!(passed, input.text);
    }
    let mut rest = input.text.iter();
    assert!(
        passed.iter().all(|byte| rest.any(|sent| sent == byte)),
        "the client gets what was sent, in its order"
    );
});
