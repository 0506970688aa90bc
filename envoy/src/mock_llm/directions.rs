//! The `x-mock-*` headers of a request. An unreadable direction is refused, so that a test with a typo fails
//! instead of passing by accident.

use axum::http::HeaderMap;

/// Longest answer and prompt that a request may direct; keeps the answer's text within a few MiB.
const MAX_TOKENS: u64 = 1_000_000;
/// Longest pause.
const MAX_PAUSE_MS: u64 = 600_000;

/// How an answer goes wrong: the value of `x-mock-fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `status-500`: status 500 with an error body.
    Status500,
    /// `status-429`: status 429 with an error body and `retry-after`.
    Status429,
    /// `reset-before-headers`: TCP reset instead of an answer.
    ResetBeforeHeaders,
    /// `reset-mid-stream`: TCP reset after half of the answer, before any usage.
    ResetMidStream,
    /// `malformed-json`: the object that holds `usage` is not JSON (without usage in a stream: its first
    /// event).
    MalformedJson,
    /// `no-usage`: no `usage`, even if asked for.
    NoUsage,
    /// `wrong-content-type`: the right body as `text/plain`.
    WrongContentType,
    /// `truncated`: half of the answer, then a regular end, as if it were complete.
    Truncated,
    /// `usage-split`: the digits of `usage` arrive in two packets.
    UsageSplit,
    /// `hang`: the request is never answered.
    Hang,
    /// `gzip`: a compressed answer, regardless of `accept-encoding`.
    Gzip,
}

impl Fault {
    /// Every fault with its name.
    pub const ALL: [(&'static str, Fault); 11] = [
        ("status-500", Fault::Status500),
        ("status-429", Fault::Status429),
        ("reset-before-headers", Fault::ResetBeforeHeaders),
        ("reset-mid-stream", Fault::ResetMidStream),
        ("malformed-json", Fault::MalformedJson),
        ("no-usage", Fault::NoUsage),
        ("wrong-content-type", Fault::WrongContentType),
        ("truncated", Fault::Truncated),
        ("usage-split", Fault::UsageSplit),
        ("hang", Fault::Hang),
        ("gzip", Fault::Gzip),
    ];
}

/// The directions of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directions {
    pub prompt_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cached_tokens: u64,
    pub delay_ms: u64,
    pub chunk_delay_ms: u64,
    pub fault: Option<Fault>,
}

impl Directions {
    /// Reads the headers that apply to the server of `model`; the error names the header.
    pub fn from_headers(headers: &HeaderMap, model: &str) -> Result<Directions, String> {
        let own_output_tokens = number(headers, &format!("x-mock-output-tokens-{model}"), MAX_TOKENS)?;
        let output_tokens = number(headers, "x-mock-output-tokens", MAX_TOKENS)?;
        Ok(Directions {
            prompt_tokens: number(headers, "x-mock-prompt-tokens", MAX_TOKENS)?,
            output_tokens: own_output_tokens.or(output_tokens),
            cached_tokens: number(headers, "x-mock-cached-tokens", MAX_TOKENS)?.unwrap_or(0),
            delay_ms: number(headers, "x-mock-delay-ms", MAX_PAUSE_MS)?.unwrap_or(0),
            chunk_delay_ms: number(headers, "x-mock-chunk-delay-ms", MAX_PAUSE_MS)?.unwrap_or(0),
            fault: fault(headers)?,
        })
    }
}

fn number(headers: &HeaderMap, name: &str, max: u64) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|number| *number <= max);
    number.map(Some).ok_or_else(|| format!("{name}: found {value:?}, expected a whole number up to {max}"))
}

fn fault(headers: &HeaderMap) -> Result<Option<Fault>, String> {
    let Some(value) = headers.get("x-mock-fault") else {
        return Ok(None);
    };
    let known = Fault::ALL.iter().find(|(name, _)| value.as_bytes() == name.as_bytes());
    known.map(|(_, fault)| Some(*fault)).ok_or_else(|| {
        let names = Fault::ALL.map(|(name, _)| name).join(", ");
        format!("x-mock-fault: found {value:?}, expected one of {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directions(headers: &[(&'static str, &str)]) -> Result<Directions, String> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Directions::from_headers(&headers, "small")
    }

    #[test]
    fn without_headers_there_are_no_directions() {
        assert_eq!(directions(&[]).unwrap(), Directions::default());
    }

    #[test]
    fn the_output_length_of_one_model_takes_precedence() {
        let both = [("x-mock-output-tokens", "5"), ("x-mock-output-tokens-small", "7")];
        assert_eq!(directions(&both).unwrap().output_tokens, Some(7));
        let other = [("x-mock-output-tokens", "5"), ("x-mock-output-tokens-large", "7")];
        assert_eq!(directions(&other).unwrap().output_tokens, Some(5));
    }

    #[test]
    fn an_unreadable_direction_is_refused_by_name() {
        assert!(
            directions(&[("x-mock-delay-ms", "soon")]).unwrap_err().starts_with("x-mock-delay-ms: found")
        );
        assert!(directions(&[("x-mock-prompt-tokens", "1000001")]).unwrap_err().contains("up to 1000000"));
        assert!(directions(&[("x-mock-fault", "rest")]).unwrap_err().contains("one of status-500"));
    }
}
