//! The steps in which an answer is sent. Listing the steps is a pure function, separate from executing them, so a
//! fault changes the list and nothing else.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;

use super::answer::Answer;
use super::connection::Connection;
use super::directions::{Directions, Fault};

/// Long enough for the peer to read what was sent before: pieces arrive as separate packets, and a reset does not
/// overtake data.
const SEPARATION_MS: u64 = 40;

/// How one answer is sent.
#[derive(Debug)]
pub struct Script {
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// Value of `content-length`; `None` if the body is chunked.
    pub content_length: Option<usize>,
    /// Whether the last step completes the answer.
    is_complete: bool,
    steps: VecDeque<Step>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Send(Bytes),
    PauseMs(u64),
    Reset,
}

/// The steps for an answer with the fault that its directions name.
pub fn write(answer: &Answer, directions: &Directions) -> Script {
    let fault = directions.fault;
    let mut pieces = if answer.is_stream { answer.events() } else { vec![answer.json()] };
    if fault == Some(Fault::MalformedJson) {
        break_json(&mut pieces);
    }
    let whole_length = pieces.iter().map(String::len).sum();
    let mut pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::from).collect();
    if fault == Some(Fault::Gzip) {
        pieces = compressed(&pieces);
    }
    let mut content_length = Some(whole_length).filter(|_| !answer.is_stream && fault != Some(Fault::Gzip));

    let mut steps = VecDeque::new();
    match fault {
        Some(Fault::ResetMidStream) => {
            send(&mut steps, first_half(pieces), directions.chunk_delay_ms);
            steps.extend([Step::PauseMs(SEPARATION_MS), Step::Reset]);
        }
        Some(Fault::Truncated) => {
            let pieces = first_half(pieces);
            content_length = content_length.map(|_| pieces.iter().map(Bytes::len).sum());
            send(&mut steps, pieces, directions.chunk_delay_ms);
        }
        Some(Fault::UsageSplit) => {
            for piece in pieces {
                if let Some(cut) = inside_usage(&piece) {
                    steps.extend([Step::PauseMs(SEPARATION_MS), Step::Send(piece.slice(..cut))]);
                    steps.extend([Step::PauseMs(SEPARATION_MS), Step::Send(piece.slice(cut..))]);
                } else {
                    send(&mut steps, vec![piece], directions.chunk_delay_ms);
                }
            }
        }
        _ => send(&mut steps, pieces, directions.chunk_delay_ms),
    }
    let content_type = match (fault, answer.is_stream) {
        (Some(Fault::WrongContentType), _) => "text/plain; charset=utf-8",
        (_, true) => "text/event-stream; charset=utf-8",
        (_, false) => "application/json",
    };
    Script { content_type, content_length, is_complete: fault != Some(Fault::Truncated), steps }
}

/// Executes the steps as a response body. `sent` is called once the last of them was taken and the answer is
/// complete.
pub fn play(
    script: Script,
    connection: Connection,
    sent: impl FnOnce() + Send,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold(
        (script.steps, Some(sent).filter(|_| script.is_complete)),
        move |(mut steps, mut sent)| {
            let connection = connection.clone();
            async move {
                while let Some(step) = steps.pop_front() {
                    match step {
                        Step::Send(bytes) => {
                            // A body of known length is not polled again after its last byte.
                            if steps.is_empty()
                                && let Some(sent) = sent.take()
                            {
                                sent();
                            }
                            return Some((Ok(bytes), (steps, sent)));
                        }
                        Step::PauseMs(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
                        Step::Reset => {
                            connection.cut();
                            return Some((Err(io::ErrorKind::ConnectionReset.into()), (steps, sent)));
                        }
                    }
                }
                None
            }
        },
    )
}

fn send(steps: &mut VecDeque<Step>, pieces: Vec<Bytes>, pause_ms: u64) {
    for piece in pieces {
        if pause_ms > 0 && !steps.is_empty() {
            steps.push_back(Step::PauseMs(pause_ms));
        }
        steps.push_back(Step::Send(piece));
    }
}

/// The first half of the events, or of the bytes of a single piece. Never contains the usage.
fn first_half(mut pieces: Vec<Bytes>) -> Vec<Bytes> {
    if let [only] = pieces.as_slice() {
        return vec![only.slice(..only.len() / 2)];
    }
    pieces.truncate(pieces.len() / 2);
    pieces
}

/// Inserts a stray bracket that makes the JSON invalid: in the usage, or in the first event if it has no usage.
fn break_json(pieces: &mut [String]) {
    let usage = pieces.iter_mut().find_map(|piece| piece.find("\"usage\":{").map(|at| (piece, at + 9)));
    if let Some((piece, at)) = usage {
        piece.insert(at, ']');
    } else if let Some(first) = pieces.first_mut()
        && let Some(at) = first.find('{')
    {
        first.insert(at + 1, ']');
    }
}

/// A position between two digits of the prompt's token count, or right before a single digit.
fn inside_usage(piece: &[u8]) -> Option<usize> {
    let key = b"\"prompt_tokens\":";
    let value = piece.windows(key.len()).position(|window| window == key)? + key.len();
    let has_two_digits = piece.get(value + 1).is_some_and(u8::is_ascii_digit);
    Some(if has_two_digits { value + 1 } else { value })
}

/// One gzip stream, flushed after each piece so that every piece still arrives on its own.
fn compressed(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut compressed: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        // Writing to memory cannot fail.
        let _ = encoder.write_all(piece).and_then(|()| encoder.flush());
        compressed.push(std::mem::take(encoder.get_mut()));
    }
    compressed.extend(encoder.finish());
    compressed.into_iter().map(Bytes::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(request: &str, fault: Fault) -> String {
        let directions = Directions { output_tokens: Some(40), fault: Some(fault), ..Directions::default() };
        let answer = Answer::new(&serde_json::from_str(request).unwrap(), request.as_bytes(), &directions);
        let steps = write(&answer, &directions).steps;
        steps.iter().fold(String::new(), |text, step| match step {
            Step::Send(bytes) => text + &String::from_utf8_lossy(bytes) + "|",
            Step::PauseMs(_) => text + "~|",
            Step::Reset => text + "RST|",
        })
    }

    const STREAM: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;

    #[test]
    fn a_reset_stream_ends_before_its_usage() {
        for request in [STREAM, r#"{"model":"m"}"#] {
            let steps = script(request, Fault::ResetMidStream);
            assert!(steps.ends_with("|~|RST|") && !steps.contains("prompt_tokens"), "{steps}");
        }
    }

    #[test]
    fn a_split_usage_is_cut_between_two_digits() {
        for request in [STREAM, r#"{"model":"m","padding":"0123456789012345678901234567890"}"#] {
            let steps = script(request, Fault::UsageSplit);
            let (before, after) = steps.split_once("\"prompt_tokens\":1|~|").expect(&steps);
            assert!(after.starts_with(|c: char| c.is_ascii_digit()) && before.contains('~'), "{steps}");
        }
    }

    #[test]
    fn a_broken_stream_without_usage_breaks_its_first_event() {
        let steps = script(r#"{"model":"m","stream":true}"#, Fault::MalformedJson);
        assert!(steps.starts_with("data: {]"), "{steps}");
    }
}
