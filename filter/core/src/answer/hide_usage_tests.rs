//! What the client gets of a stream, and when.

use super::*;
use crate::wire::pieces::pieces;
use proptest::prelude::*;

const STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":null}\r\n\r\n",
    ": ping\r\n\r\n",
    "data: {\"choices\":[],\"prompt_filter_results\":[{}],\"usage\":null}\r\n\r\n",
    "data: {\"id\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\r\n\r\n",
    "data: [DONE]\r\n\r\n",
);

fn pass(chunks: &[&[u8]]) -> String {
    let mut hider = UsageHider::default();
    let mut out = Vec::new();
    for (k, chunk) in chunks.iter().enumerate() {
        out.extend_from_slice(&hider.pass(chunk, k + 1 == chunks.len()));
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn only_the_event_of_usage_alone_is_missing() {
    let passed = pass(&[STREAM.as_bytes()]);
    assert!(!passed.contains("prompt_tokens") && passed.ends_with("data: [DONE]\r\n\r\n"));
    assert_eq!(
        passed.len(),
        STREAM.len() - "data: {\"id\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\r\n\r\n".len()
    );
}

#[test]
fn an_event_passes_as_soon_as_it_has_a_choice() {
    let mut hider = UsageHider::default();
    let begun = b"data: {\"id\":1,\"choices\":[{\"del";
    assert_eq!(&*hider.pass(begun, false), begun);
    let rest = b"ta\":{}}],\"usage\":{}}\n\n";
    let passed = hider.pass(rest, false);
    assert_eq!(&*passed, rest);
    assert!(matches!(passed, Cow::Borrowed(_)), "an unchanged chunk is not copied");
}

#[test]
fn an_event_too_long_to_hold_passes() {
    let mut hider = UsageHider::default();
    let long = format!("data: {{\"x\":\"{}", "y".repeat(MAX_HELD_BYTES));
    assert_eq!(hider.pass(long.as_bytes(), false).len(), long.len());
    assert_eq!(hider.pass(b"\",\"choices\":[],\"usage\":{}}\n\n", true).len(), 28);
    assert_eq!(hider.hidden(), 0);
}

/// What the client has after each of the chunks.
fn seen_after(chunks: &[&str]) -> Vec<String> {
    let (mut hider, mut out) = (UsageHider::default(), Vec::new());
    let after = |chunk: &&str| {
        out.extend_from_slice(&hider.pass(chunk.as_bytes(), false));
        String::from_utf8(out.clone()).unwrap()
    };
    chunks.iter().map(after).collect()
}

#[test]
fn a_comment_passes_at_once() {
    let keep_alive = ": PROCESSING\n\n";
    assert_eq!(seen_after(&[keep_alive; 3]), [1, 2, 3].map(|times| keep_alive.repeat(times)));
    let seen = seen_after(&[": PRO", "CESSING\r", "\n", "\r\n", "data: {\"id\":1}\r\n", "\r\n"]);
    assert_eq!(seen[0], ": PRO");
    assert_eq!(seen[3], ": PROCESSING\r\n\r\n");
    assert_eq!(seen[4], ": PROCESSING\r\n\r\ndata: {\"id\":1}\r\n", "JSON that is whole and no usage");
}

#[test]
fn a_comment_does_not_wait_for_the_event_around_it() {
    let seen = seen_after(&["event: x\ndata: {\"choices\":[],\n", ": ping\n", "data: \"usage\":null}\n\n"]);
    assert_eq!(seen[..2], ["".to_owned(), ": ping\n".to_owned()]);
    assert_eq!(seen[2], ": ping\nevent: x\ndata: {\"choices\":[],\ndata: \"usage\":null}\n\n");
    let seen = seen_after(&["event: x\ndata: {\"choices\":[],\n: ping\ndata: \"usage\":{}}\nid: 1\n\n"]);
    assert_eq!(seen, [": ping\n"]);
}

#[test]
fn the_line_feed_that_ends_an_event_does_not_wait_for_the_next() {
    let seen = seen_after(&["data: {\"choices\":[{}]}\r\n\r", "\n"]);
    assert_eq!(seen[1], "data: {\"choices\":[{}]}\r\n\r\n");
}

#[test]
fn usage_on_a_line_of_its_own_is_hidden_among_lines_of_one_event() {
    let choice = "data: {\"choices\":[{\"index\":0}]}\n";
    let text = format!("{choice}{choice}data: {{\"choices\":[],\"usage\":{{}}}}\ndata: [DONE]\n\n");
    assert_eq!(pass(&[text.as_bytes()]), format!("{choice}{choice}data: [DONE]\n\n"));
}

#[test]
fn a_body_that_is_not_a_stream_passes_whole() {
    assert_eq!(seen_after(&["{\"error\":", "{}}"]), ["{\"error\":", "{\"error\":{}}"]);
    for text in ["{\"error\":{}}", "", "data: {\"choices\":[", "\u{0}\u{1}", "data: {\"a\":1}\n"] {
        assert_eq!(pass(&[text.as_bytes()]), text);
    }
}

fn streams() -> impl Strategy<Value = String> {
    let usage = "data: ?\\{\"choices\":\\[(\\{\\})?\\],\"usage\":(null|\\{\\})\\}";
    let line = format!(
        "({usage}|data: \\[DONE\\]|data: \\{{\"choices\":\\[\\],|data: \"usage\":\\{{\\}}\\}}|: x|id: 1|dat|x)"
    );
    proptest::string::string_regex(&format!("({line}(\r\n|\n|\r)(\r\n|\n|\r)?){{0,8}}")).unwrap()
}

proptest! {
    #[test]
    fn nothing_waits_for_another_event(text in streams(), cut in 0usize..300) {
        let bytes = text.as_bytes();
        // The end of the last event that ends up to here.
        let mut ends = (0..=cut.min(bytes.len())).filter(|at| {
            [&b"\n\n"[..], b"\r\r", b"\n\r"].iter().any(|end| bytes[..*at].ends_with(end))
                || bytes[..*at].ends_with(b"\r\n\r\n")
        });
        let at = ends.next_back().unwrap_or(0);
        let (mut hider, mut whole) = (UsageHider::default(), UsageHider::default());
        let seen = hider.pass(&bytes[..at], false).into_owned();
        prop_assert_eq!(seen, whole.pass(&bytes[..at], true).into_owned());
    }

    #[test]
    fn comments_never_wait(text in streams(), cut in 0usize..300) {
        let begun = &text[..cut.min(text.len())];
        let comments = |text: &str| text.split(['\r', '\n']).filter(|line| line.starts_with(':')).count();
        let (mut hider, mut out) = (UsageHider::default(), Vec::new());
        out.extend_from_slice(&hider.pass(begun.as_bytes(), false));
        prop_assert_eq!(comments(std::str::from_utf8(&out).unwrap()), comments(begun));
    }

    #[test]
    fn any_cut_gives_the_client_the_same(
        text in prop_oneof![
            Just(STREAM.to_owned()),
            streams(),
        ],
        cuts in proptest::collection::vec(0usize..300, 0..9),
    ) {
        let bytes = text.as_bytes();
        prop_assert_eq!(pass(&pieces(bytes, cuts)), pass(&[bytes]));
    }
}
