use super::*;
use crate::wire::pieces::pieces;
use proptest::prelude::*;

/// Records all events; pieces of a text are joined.
#[derive(Default, Debug, PartialEq)]
struct Log(Vec<String>);

impl Visitor for Log {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        self.0.push(format!("{path:?} {kind:?} @{offset} = "));
        true
    }

    fn text(&mut self, _path: &[Key], piece: &[u8]) {
        self.0.last_mut().unwrap().push_str(&piece.iter().map(|b| char::from(*b)).collect::<String>());
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        self.0.push(format!("end {path:?} {kind:?} @{end} {is_empty}"));
    }
}

fn read(chunks: &[&[u8]]) -> (Vec<String>, Progress) {
    let (mut reader, mut log) = (JsonReader::default(), Log::default());
    chunks.iter().for_each(|chunk| reader.feed(chunk, &mut log));
    (log.0, reader.progress())
}

fn progress(text: &str) -> Progress {
    read(&[text.as_bytes()]).1
}

#[test]
fn values_are_reported_in_order_with_their_paths() {
    let (log, progress) = read(&[br#" {"model" : "a\u00e9\n", "messages":[{"role":1},[]], "x":{}}"#]);
    let expected = [
        "[] Object @1 = ",
        "[Model] String @12 = a\u{c3}\u{a9}\n",
        "end [Model] String @23 false",
        "[Messages] Array @36 = ",
        "[Messages, Item] Object @37 = ",
        "[Messages, Item, Role] Scalar @45 = 1",
        "end [Messages, Item, Role] Scalar @46 false",
        "end [Messages, Item] Object @47 false",
        "[Messages, Item] Array @48 = ",
        "end [Messages, Item] Array @50 true",
        "end [Messages] Array @51 false",
        "[Other] Object @57 = ",
        "end [Other] Object @59 true",
        "end [] Object @60 false",
    ];
    assert_eq!(log, expected);
    assert_eq!(progress, Progress::Complete);
}

#[test]
fn an_escaped_key_is_the_key_it_spells() {
    let (log, _) = read(&[br#"{"mod\u0065l":1}"#]);
    assert!(log[1].starts_with("[Model]"), "{log:?}");
}

#[test]
fn a_byte_order_mark_and_white_space_may_lead() {
    assert_eq!(progress("\u{feff} \n{\"model\":\"a\"} \n"), Progress::Complete);
}

#[test]
fn a_text_that_is_not_an_object_or_array_is_invalid() {
    let texts = [
        "\"model\"",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":1 2}",
        "{\"a\":1}x",
        "{\"a\":!}",
        "[1,]",
        "[,]",
        "[1}",
        "{\"a\":1]",
        "{\"a\"}",
        "{\"a\":1,}",
        "\u{feff}\u{feff}{}",
        "{\"a\":NaN}",
        "1",
        "{}{}",
    ];
    for text in texts {
        assert_eq!(progress(text), Progress::Invalid, "{text}");
    }
}

#[test]
fn an_unfinished_text_is_incomplete() {
    for text in ["", "{", "{\"model\"", "{\"model\":\"a", "{\"a\":[1,2", "{\"a\":1,", "[{}", "{\"a\":\"\\\""]
    {
        assert_eq!(progress(text), Progress::Incomplete, "{text}");
    }
}

#[test]
fn values_below_the_greatest_depth_are_skipped() {
    let deep =
        format!("{}{{\"]\":[\"\\\"}}\"], \"model\":1}}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    let (log, progress) = read(&[deep.as_bytes()]);
    assert_eq!(progress, Progress::Complete);
    assert_eq!(log.iter().filter(|line| line.starts_with('[')).count(), MAX_DEPTH + 1, "{log:?}");
    assert!(log.iter().all(|line| !line.contains("Model")));
}

#[test]
fn a_nesting_bomb_costs_no_memory() {
    assert_eq!(progress(&format!("{{\"a\":{}", "[".repeat(1_000_000))), Progress::Incomplete);
    assert_eq!(progress(&format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000))), Progress::Complete);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\{(\"(model|usage|a|mod\\\\u0065l)\": ?(\"[a-zé\\\\\"]{0,4}\"|-?[0-9]{1,3}|\\[\\{\"model\":1\\}\\]|null),? ?){0,4}\\}?",
        "[{}\\[\\]\",:model\\\\u 0-9]{0,40}",
        "\\[{6,10}[{}\\[\\]\",a1 ]{0,20}",
        "\\{\"a\":\"(\\\\ud83d\\\\ude00|\\\\ud83d|\\\\u12|x|\\\\\\\\|é){0,5}\"\\}",
    ]
}

proptest! {
    #[test]
    fn the_events_do_not_depend_on_how_the_text_is_cut(
        text in any_text(), cuts in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let bytes = text.as_bytes();
        prop_assert_eq!(read(&pieces(bytes, cuts)), read(&[bytes]));
    }

    #[test]
    fn what_serde_accepts_is_complete(text in any_text()) {
        if let Ok(serde_json::Value::Object(_) | serde_json::Value::Array(_)) = serde_json::from_str(&text) {
            prop_assert_eq!(progress(&text), Progress::Complete);
        }
    }

    #[test]
    fn the_last_model_is_the_one_serde_finds(
        model in "[ -~é😀]{0,12}", other in "[ -~]{0,12}", first in any::<bool>(),
    ) {
        let mut object = serde_json::Map::new();
        if first { object.insert("model".into(), model.clone().into()); }
        object.insert("x".into(), serde_json::json!([{"model": other}, other]));
        if !first { object.insert("model".into(), model.clone().into()); }
        let mut body = crate::body::rewrite::RequestBody::default();
        body.scan(&serde_json::to_vec(&object).unwrap());
        prop_assert_eq!(body.facts().requested_model, Some(model));
    }
}
