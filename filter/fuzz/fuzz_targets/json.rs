//! The JSON reader: what `serde_json` accepts, it accepts, and it sees the same values under the same names in the same order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::wire::json::{JsonReader, Kind, MAX_DEPTH, Progress, Visitor};
use seqroute_core::wire::key::{Key, MAX_NAME_BYTES};
use seqroute_fuzz::Input;
use seqroute_fuzz::readers::tree::Tree;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Begin,
    End { is_empty: bool },
}

/// One call of the visitor, with the pieces of its text joined.
#[derive(Debug, PartialEq)]
struct Event {
    path: Vec<Key>,
    kind: Kind,
    phase: Phase,
    offset: u64,
    text: Vec<u8>,
}

#[derive(Debug, Default, PartialEq)]
struct Events(Vec<Event>);

impl Events {
    fn add(&mut self, path: &[Key], kind: Kind, phase: Phase, offset: u64) {
        self.0.push(Event { path: path.to_vec(), kind, phase, offset, text: Vec::new() });
    }
}

impl Visitor for Events {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        self.add(path, kind, Phase::Begin, offset);
        true
    }

    fn text(&mut self, _path: &[Key], piece: &[u8]) {
        self.0.last_mut().expect("a text has begun").text.extend_from_slice(piece);
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        self.add(path, kind, Phase::End { is_empty }, end);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let (mut whole, mut cut) = (JsonReader::default(), JsonReader::default());
    let (mut events, mut events_cut) = (Events::default(), Events::default());
    whole.feed(input.text, &mut events);
    input.pieces().into_iter().for_each(|piece| cut.feed(piece, &mut events_cut));
    assert_eq!((whole.progress(), &events), (cut.progress(), &events_cut));
    let Some(tree @ (Tree::Object(_) | Tree::List(_))) = Tree::parse(input.text) else { return };
    assert_eq!(whole.progress(), Progress::Complete);
    assert_eq!(whole.offset(), input.text.len() as u64);
    let mut expected = Vec::new();
    expect(&tree, &mut Vec::new(), &mut expected);
    let begun = events.0.into_iter().filter(|event| event.phase == Phase::Begin);
    let found = begun.map(|Event { path, kind, text, .. }| {
        // Numbers and literals are read verbatim.
        (path, kind, if kind == Kind::Scalar { Tree::parse(&text) } else { text_of(text) })
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
});

fn text_of(bytes: Vec<u8>) -> Option<Tree> {
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty()).map(Tree::Text)
}

/// The values in the order in which they begin, down to the greatest depth, with what stands in those that hold none.
fn expect(tree: &Tree, path: &mut Vec<Key>, into: &mut Vec<(Vec<Key>, Kind, Option<Tree>)>) {
    let (kind, value) = match tree {
        Tree::Object(_) => (Kind::Object, None),
        Tree::List(_) => (Kind::Array, None),
        Tree::Text(text) => (Kind::String, text_of(text.clone().into_bytes())),
        scalar => (Kind::Scalar, Some(scalar.clone())),
    };
    into.push((path.clone(), kind, value));
    if path.len() == MAX_DEPTH {
        return;
    }
    let members: Vec<(Key, &Tree)> = match tree {
        Tree::Object(members) => members.iter().map(|(name, value)| (key_of(name), value)).collect(),
        Tree::List(items) => items.iter().map(|item| (Key::Item, item)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in members {
        path.push(key);
        expect(value, path, into);
        path.pop();
    }
}

fn key_of(name: &str) -> Key {
    if name.len() < MAX_NAME_BYTES { Key::of(name.as_bytes()) } else { Key::Other }
}
