//! Reads token usage from an answer while it passes to the client.
//!
//! Nothing is held back: each chunk is looked at and goes on. A JSON answer carries one `usage` object, a stream
//! may carry several; fields are merged by their maximum (see [`crate::usage`]).

use crate::scan::sse::SseScanner;
use crate::scan::top_level::TopLevelScanner;
use crate::usage::Usage;

const KEYS: &[&str] = &["usage"];
/// A usage object with all its details is a few hundred bytes.
const MAX_USAGE_BYTES: usize = 4096;

#[derive(Clone, Debug)]
enum Format {
    Json(TopLevelScanner),
    Sse(Box<SseScanner>),
    Opaque,
}

/// The reader of one answer's body.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    format: Format,
    usage: Option<Usage>,
    body_bytes: u64,
}

impl AnswerReader {
    /// A reader for the answer's `content-type`. Anything but JSON and an event stream is only counted.
    #[must_use]
    pub fn new(content_type: &[u8]) -> Self {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let format = if media_type.eq_ignore_ascii_case(b"application/json") {
            Format::Json(TopLevelScanner::new(KEYS, MAX_USAGE_BYTES))
        } else if media_type.eq_ignore_ascii_case(b"text/event-stream") {
            Format::Sse(Box::new(SseScanner::new(KEYS, MAX_USAGE_BYTES)))
        } else {
            Format::Opaque
        };
        AnswerReader { format, usage: None, body_bytes: 0 }
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(chunk.len() as u64);
        let usage = &mut self.usage;
        match &mut self.format {
            Format::Json(scanner) => scanner.feed(chunk),
            Format::Sse(scanner) => scanner.feed(chunk, |event| merge(usage, event)),
            Format::Opaque => {}
        }
    }

    /// The usage read so far. Call it when the stream has ended, however it ended.
    #[must_use]
    pub fn finish(&mut self) -> Option<Usage> {
        let usage = &mut self.usage;
        match &mut self.format {
            Format::Json(scanner) => merge(usage, scanner),
            Format::Sse(scanner) => scanner.finish(|event| merge(usage, event)),
            Format::Opaque => {}
        }
        self.usage
    }

    /// Where usage is looked for: `json`, `sse` or `none`.
    #[must_use]
    pub fn format_name(&self) -> &'static str {
        match self.format {
            Format::Json(_) => "json",
            Format::Sse(_) => "sse",
            Format::Opaque => "none",
        }
    }

    /// Output tokens guessed from what passed, for an answer without usage: an event carries about one token
    /// (OpenAI streams one per event), a JSON answer about one per `bytes_per_token`.
    #[must_use]
    pub fn guessed_output_tokens(&self, bytes_per_token: u64) -> u64 {
        match &self.format {
            Format::Sse(scanner) => scanner.events(),
            Format::Json(_) | Format::Opaque => self.body_bytes.div_ceil(bytes_per_token.max(1)),
        }
    }
}

fn merge(usage: &mut Option<Usage>, scanner: &TopLevelScanner) {
    if let Some(found) = scanner.last_value(0).and_then(Usage::from_openai_json) {
        *usage = Some(usage.map_or(found, |known| known.max_per_field(found)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, chunks: &[&str]) -> Option<Usage> {
        let mut reader = AnswerReader::new(content_type.as_bytes());
        chunks.iter().for_each(|chunk| reader.feed(chunk.as_bytes()));
        reader.finish()
    }

    #[test]
    fn usage_of_a_json_answer_is_read() {
        let answer = r#"{"choices":[{"message":{"content":"\"usage\":{}"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        let usage = read("application/json; charset=utf-8", &[answer]).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (7, 3));
    }

    #[test]
    fn usage_split_over_two_chunks_of_a_stream_is_read() {
        let chunks = [
            "data: {\"choices\":[{}],\"usage\":null}\n\ndata: {\"choices\":[],\"us",
            "age\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
        ];
        let usage = read("text/event-stream", &chunks).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (7, 3));
    }

    #[test]
    fn several_readings_are_merged_by_the_larger() {
        let chunks = [
            "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
            "data: {\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":5}}\n\n",
        ];
        let usage = read("text/event-stream", &chunks).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (9, 5));
    }

    #[test]
    fn an_answer_of_another_type_is_only_counted() {
        assert_eq!(read("text/html", &["{\"usage\":{\"prompt_tokens\":7}}"]), None);
        let mut reader = AnswerReader::new(b"text/html");
        reader.feed(&[0; 10]);
        assert_eq!(reader.guessed_output_tokens(4), 3);
    }

    #[test]
    fn a_stream_without_usage_is_guessed_by_its_events() {
        let mut reader = AnswerReader::new(b"text/event-stream");
        reader.feed(b"data: {}\n\ndata: {}\n\n");
        assert_eq!((reader.finish(), reader.guessed_output_tokens(4)), (None, 2));
    }
}
