//! An answer of any API and encoding: any cut gives the same usage, the same guess and the same answer to the question
//! whether that was all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_fuzz::{APIS, Input};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let encoding: &[u8] = if input.choice >= 200 { b"gzip" } else { b"" };
    let reader = || AnswerReader::new(input.pick(&APIS), encoding);
    let (mut whole, mut cut) = (reader(), reader());
    whole.feed(input.text);
    input.pieces().into_iter().for_each(|piece| cut.feed(piece));
    let found = |reader: &AnswerReader| {
        (reader.finish(3), reader.guessed_output_tokens(3), reader.is_final(false, 1), reader.shown(false))
    };
    assert_eq!(found(&whole), found(&cut));
});
