//! The JSON reader: what a whole parser accepts, it accepts, and it sees the same members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::wire::json::{JsonReader, Kind, Progress, Visitor};
use seqroute_core::wire::key::Key;
use seqroute_fuzz::Input;
use serde_json::Value;

/// All events, with the pieces of a text joined.
#[derive(Debug, Default, PartialEq)]
struct Events(Vec<(Vec<Key>, Kind, u64, Vec<u8>)>);

impl Visitor for Events {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        self.0.push((path.to_vec(), kind, offset, Vec::new()));
        true
    }

    fn text(&mut self, _path: &[Key], piece: &[u8]) {
        self.0.last_mut().expect("a text has begun").3.extend_from_slice(piece);
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        self.0.push((path.to_vec(), kind, end, vec![u8::from(is_empty)]));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (mut whole, mut cut) = (JsonReader::default(), JsonReader::default());
    let (mut events, mut events_cut) = (Events::default(), Events::default());
    whole.feed(input.text, &mut events);
    input.pieces().into_iter().for_each(|piece| cut.feed(piece, &mut events_cut));
    assert_eq!((whole.progress(), &events), (cut.progress(), &events_cut));
    if let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(input.text) {
        assert_eq!(whole.progress(), Progress::Complete);
        assert_eq!(whole.offset(), input.text.len() as u64);
        let model = events.0.iter().rfind(|(path, kind, ..)| *path == [Key::Model] && *kind == Kind::String);
        if let (Some(Value::String(expected)), Some((.., text))) = (members.get("model"), model) {
            // The last one ends with its `end` event, the text is in the one before.
            let begun = events.0.iter().rfind(|(path, .., text)| *path == [Key::Model] && *text != [0]);
            assert_eq!(begun.map_or(text.as_slice(), |(.., text)| text), expected.as_bytes());
        }
    }
});
