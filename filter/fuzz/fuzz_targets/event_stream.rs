//! An Amazon event stream: any cut gives the same messages, and no message holds more than was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::wire::event_stream::{EventStreamReader, MessageVisitor};
use seqroute_fuzz::Input;

#[derive(Debug, Default, PartialEq)]
struct Messages {
    whole: Vec<Vec<u8>>,
    begun: Vec<u8>,
}

impl MessageVisitor for Messages {
    fn payload(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
    }

    fn end_message(&mut self) {
        self.whole.push(std::mem::take(&mut self.begun));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (mut reader, mut whole) = (EventStreamReader::default(), Messages::default());
    reader.feed(input.text, &mut whole);
    let (mut reader, mut cut) = (EventStreamReader::default(), Messages::default());
    input.pieces().into_iter().for_each(|piece| reader.feed(piece, &mut cut));
    assert_eq!(whole, cut);
    let payload: usize = whole.whole.iter().map(Vec::len).sum::<usize>() + whole.begun.len();
    assert!(payload <= input.text.len());
});
