//! An answer of any API, content type and encoding: any cut gives the same usage and the same guess.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_fuzz::{APIS, Input};

const TYPES: [&[u8]; 5] = [
    b"application/json",
    b"text/event-stream; charset=utf-8",
    b"application/vnd.amazon.eventstream",
    b"text/plain",
    b"",
];

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let content_type = TYPES[input.choice / APIS.len() % TYPES.len()];
    let encoding: &[u8] = if input.choice >= 200 { b"gzip" } else { b"" };
    let reader = || AnswerReader::new(input.pick(&APIS), content_type, encoding);
    let (mut whole, mut cut) = (reader(), reader());
    whole.feed(input.text);
    input.pieces().into_iter().for_each(|piece| cut.feed(piece));
    let found = |reader: &AnswerReader| (reader.finish(3), reader.guessed_output_tokens(3));
    assert_eq!(found(&whole), found(&cut));
});
