//! What passes through the filter costs no memory per byte: the same number of allocations for a short conversation
//! and for a long one, in bodies and in answers.

mod texts;

use allocation_counter::measure;
use seqroute_core::answer::reader::AnswerReader;
use seqroute_core::body::input::weight;
use seqroute_core::body::rewrite::RequestBody;
use seqroute_core::request::api::Api;
use seqroute_core::wire::json::Progress;
use texts::{chat, stream};

/// Allocations of reading a body in network-sized pieces.
fn allocations_of_body(text: &str) -> u64 {
    weight::prepare();
    let mut body = RequestBody::new(Api::OpenAiChat);
    let counted = measure(|| text.as_bytes().chunks(16 * 1024).for_each(|chunk| body.scan(chunk)));
    assert_eq!(body.progress(), Progress::Complete);
    counted.count_total
}

/// Allocations of reading an answer in network-sized pieces.
fn allocations_of_answer(text: &str) -> u64 {
    let mut answer = AnswerReader::new(Api::OpenAiChat, b"");
    let counted = measure(|| text.as_bytes().chunks(16 * 1024).for_each(|chunk| answer.feed(chunk)));
    assert_eq!(answer.finish(4).map(|usage| usage.output_tokens), Some(20));
    counted.count_total
}

#[test]
fn a_long_body_allocates_no_more_than_a_short_one() {
    let (short, long) = (chat(10), chat(20_000));
    assert!(long.len() > 1_000_000);
    assert_eq!(allocations_of_body(&long), allocations_of_body(&short));
}

#[test]
fn a_long_answer_allocates_no_more_than_a_short_one() {
    let (short, long) = (stream(10), stream(20_000));
    assert!(long.len() > 1_000_000);
    assert_eq!(allocations_of_answer(&long), allocations_of_answer(&short));
}
