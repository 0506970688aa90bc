//! Reads and rewrites the body of an LLM request as it streams to the upstream.
//!
//! Only the bytes of the `model` value change; everything else passes as the client sent it. All duplicates of
//! `model` are rewritten alike, so that no receiver can pick another model than the one that was paid for. A body
//! without the member gets it before its closing brace.

use crate::scan::top_level::{Progress, TopLevelScanner};

const KEYS: &[&str] = &["model", "max_tokens", "max_completion_tokens", "stream"];
const MODEL: usize = 0;
const MAX_TOKENS: usize = 1;
const MAX_COMPLETION_TOKENS: usize = 2;
const STREAM: usize = 3;
/// Longest value kept of these members; a model name is far shorter.
const MAX_VALUE_BYTES: usize = 256;

/// What the body says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyFacts {
    /// The model the client asked for.
    pub requested_model: Option<String>,
    /// The client's own limit on output tokens (`max_completion_tokens`, else `max_tokens`).
    pub max_output_tokens: Option<u64>,
    /// The client asked for a stream of events.
    pub stream: bool,
}

/// Scans a request body and replaces its model.
#[derive(Clone, Debug)]
pub struct RequestBody {
    scanner: TopLevelScanner,
    scanned_bytes: u64,
    /// `model` members whose replacement was sent. An unquoted value ends only with the byte behind it, which may
    /// come in the next chunk, so offsets alone cannot tell.
    replaced: usize,
}

impl Default for RequestBody {
    fn default() -> Self {
        RequestBody { scanner: TopLevelScanner::new(KEYS, MAX_VALUE_BYTES), scanned_bytes: 0, replaced: 0 }
    }
}

impl RequestBody {
    /// Reads the next bytes.
    pub fn scan(&mut self, chunk: &[u8]) {
        self.scanner.feed(chunk);
        self.scanned_bytes = self.scanned_bytes.saturating_add(chunk.len() as u64);
    }

    /// How many bytes were read.
    #[must_use]
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned_bytes
    }

    /// Whether the body is a whole JSON object yet.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if self.scanner.overflowed() { Progress::Invalid } else { self.scanner.progress() }
    }

    /// The `model` member was seen (it may come again).
    #[must_use]
    pub fn has_model(&self) -> bool {
        self.model_members() > 0
    }

    /// How many `model` members were read or begun.
    #[must_use]
    pub fn model_members(&self) -> usize {
        let open = self.scanner.open_member().is_some_and(|(key, _)| key == MODEL);
        let closed = self.scanner.members().iter().filter(|member| member.key == MODEL).count();
        closed.saturating_add(usize::from(open))
    }

    /// What the body says so far.
    #[must_use]
    pub fn facts(&self) -> BodyFacts {
        let count =
            |key| self.scanner.last_value(key).and_then(|value| serde_json::from_slice::<u64>(value).ok());
        BodyFacts {
            requested_model: self
                .scanner
                .last_value(MODEL)
                .and_then(|value| serde_json::from_slice(value).ok()),
            max_output_tokens: count(MAX_COMPLETION_TOKENS).or_else(|| count(MAX_TOKENS)),
            stream: self.scanner.last_value(STREAM) == Some(b"true"),
        }
    }

    /// The bytes to forward in place of `chunk`, or `None` to forward them as they are.
    ///
    /// `chunk` must be the last bytes given to [`scan`](Self::scan). `model` is the new model name. A value that
    /// spans chunks is dropped piece by piece and its replacement sent with the last piece.
    #[must_use]
    pub fn rewrite(&mut self, chunk: &[u8], model: &str) -> Option<Vec<u8>> {
        let base = self.scanned_bytes.saturating_sub(chunk.len() as u64);
        let closed = self.scanner.members().iter().filter(|member| member.key == MODEL).skip(self.replaced);
        let mut spans: Vec<(u64, Option<u64>)> =
            closed.map(|member| (member.start, Some(member.end))).collect();
        self.replaced = self.replaced.saturating_add(spans.len());
        if let Some((MODEL, start)) = self.scanner.open_member() {
            spans.push((start, None));
        }
        let insert_at = match self.scanner.object_end() {
            Some((end, not_empty)) if end >= base && !self.has_model() => Some((end, not_empty)),
            _ => None,
        };
        if spans.is_empty() && insert_at.is_none() {
            return None;
        }
        let quoted = serde_json::Value::from(model).to_string().into_bytes();
        let mut out = Vec::with_capacity(chunk.len().saturating_add(quoted.len()).saturating_add(16));
        let mut from = base;
        for (start, end) in spans {
            out.extend_from_slice(slice(chunk, base, from, start));
            match end {
                Some(end) => {
                    out.extend_from_slice(&quoted);
                    from = end;
                }
                None => from = self.scanned_bytes,
            }
        }
        if let Some((end, not_empty)) = insert_at {
            out.extend_from_slice(slice(chunk, base, from, end));
            out.extend_from_slice(if not_empty { b",\"model\":" } else { b"\"model\":" });
            out.extend_from_slice(&quoted);
            from = end;
        }
        out.extend_from_slice(slice(chunk, base, from, self.scanned_bytes));
        Some(out)
    }
}

/// The part of `chunk` (which begins at `base`) between two absolute offsets.
fn slice(chunk: &[u8], base: u64, from: u64, to: u64) -> &[u8] {
    let index =
        |offset: u64| usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX).min(chunk.len());
    chunk.get(index(from)..index(to)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(text: &str, cuts: &[usize], model: &str) -> String {
        let mut body = RequestBody::default();
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().filter(|cut| *cut <= text.len()).chain([text.len()]) {
            let chunk = &text.as_bytes()[from..cut];
            body.scan(chunk);
            out.extend(body.rewrite(chunk, model).unwrap_or_else(|| chunk.to_vec()));
            from = cut;
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        let text = r#"{"messages":[{"model":"no"}],  "model" : "auto","max_tokens":5}"#;
        assert_eq!(
            rewritten(text, &[], "large"),
            r#"{"messages":[{"model":"no"}],  "model" : "large","max_tokens":5}"#
        );
    }

    #[test]
    fn a_missing_model_is_added_before_the_closing_brace() {
        assert_eq!(rewritten(r#"{"n":1}"#, &[], "s"), r#"{"n":1,"model":"s"}"#);
        assert_eq!(rewritten("{}", &[], "s"), r#"{"model":"s"}"#);
    }

    #[test]
    fn a_model_name_is_quoted_as_json() {
        assert_eq!(rewritten(r#"{"model":1}"#, &[], "a\"b"), r#"{"model":"a\"b"}"#);
    }

    #[test]
    fn the_facts_are_read() {
        let mut body = RequestBody::default();
        body.scan(br#"{"model":"auto","max_tokens":7,"max_completion_tokens":9,"stream":true}"#);
        let expected =
            BodyFacts { requested_model: Some("auto".into()), max_output_tokens: Some(9), stream: true };
        assert_eq!(body.facts(), expected);
        assert_eq!(body.progress(), Progress::Complete);
    }

    #[test]
    fn a_limit_that_is_no_count_is_no_limit() {
        for limit in ["-1", "1.5", "\"9\"", "null", "1e3"] {
            let mut body = RequestBody::default();
            body.scan(format!("{{\"max_tokens\":{limit}}}").as_bytes());
            assert_eq!(body.facts().max_output_tokens, None, "{limit}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_body(
            text in "\\{(\"(model|n|messages)\":(\"[a-zé]{0,6}\"|[0-9]{1,3}|\\[\\{\"model\":\"x\"\\}\\]),){0,3}\"z\":1\\}",
            mut cuts in proptest::collection::vec(0usize..70, 0..8),
        ) {
            cuts.sort_unstable();
            prop_assert_eq!(rewritten(&text, &cuts, "large"), rewritten(&text, &[], "large"));
        }

        #[test]
        fn every_model_of_the_result_is_the_chosen_one(
            text in "\\{(\"(model|n)\":\"[a-z]{0,6}\",){0,4}\"z\":1\\}",
        ) {
            let result = rewritten(&text, &[], "chosen");
            let value: serde_json::Value = serde_json::from_str(&result).unwrap();
            prop_assert_eq!(value.get("model"), Some(&serde_json::json!("chosen")));
            prop_assert_eq!(result.matches("\"model\":\"chosen\"").count(), result.matches("\"model\"").count());
        }
    }
}
