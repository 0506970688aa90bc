//! Tests of the weights; apart from them, because `filter/tokens` compiles that file too.

use super::weight::TextWeigher;
use proptest::prelude::*;

fn tokens(text: &str) -> u64 {
    let mut weigher = TextWeigher::default();
    weigher.feed(text.as_bytes());
    weigher.tokens()
}

#[test]
fn letters_weigh_by_what_joins() {
    let cases = [
        ("zvzvzv", 6, "no two of them join"),
        ("th", 1, "they join"),
        ("the", 2, "one of them may stay alone"),
        ("x the,", 3, "a known word"),
        ("x the", 4, "what follows may join the end of a known word"),
        ("x theq,", 5, "no known word: x, a comma, and three for four letters and a space, q alone"),
        ("'sth", 4, "a contraction may end after s or t"),
        ("THE", 2, "capitals join too"),
        ("aB", 2, "some vocabularies part words at a capital"),
    ];
    for (text, expected, why) in cases {
        assert_eq!(tokens(text), expected, "{text}: {why}");
    }
}

#[test]
fn other_characters_weigh_their_bytes_or_what_they_can_grow_to() {
    let cases = [
        ("  ", 2),
        ("x  y", 4),
        ("7", 1),
        ("\u{e9}", 2),
        ("\u{4e2d}", 3),
        ("\u{1f600}", 4),
        ("\u{fdfa}", 33),
        ("\u{1d160}", 12),
    ];
    for (text, expected) in cases {
        assert_eq!(tokens(text), expected, "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_weigh_what_may_replace_them() {
    let mut weigher = TextWeigher::default();
    weigher.feed(b"\xff\xe4\xb8a\x80");
    assert_eq!(weigher.tokens(), 3 + 6 + 1 + 3);
}

#[test]
fn english_prose_weighs_a_third_of_its_bytes() {
    let text = "The committee that was formed last year has now published its first report, and most \
                of the members agree with the main points of it. They will meet again in the spring.";
    let tokens = tokens(text);
    assert!((30..=text.len() as u64 / 3).contains(&tokens), "{tokens} of {}", text.len());
}

proptest! {
    #[test]
    fn the_bound_does_not_depend_on_the_cuts(text in "( the|zq|'s|é|中|\u{fdfa}|[ -~]){0,20}", cut in 0usize..80) {
        let (mut whole, mut pieces) = (TextWeigher::default(), TextWeigher::default());
        whole.feed(text.as_bytes());
        let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
        pieces.feed(head);
        pieces.feed(tail);
        prop_assert_eq!(whole.tokens(), pieces.tokens());
    }

    #[test]
    fn more_text_never_weighs_less_by_more_than_its_last_word(head in "( the|zq|[ -~]){0,9}", tail in "[ -~]{0,9}") {
        let (short, long) = (tokens(&head), tokens(&format!("{head}{tail}")));
        let word = head.bytes().rev().take_while(u8::is_ascii_alphabetic).count() as u64;
        prop_assert!(long + word >= short, "{} {}", short, long);
    }

    #[test]
    fn any_bytes_are_weighed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut weigher = TextWeigher::default();
        weigher.feed(&bytes);
        prop_assert!(weigher.tokens() <= 33 * bytes.len() as u64);
    }
}
