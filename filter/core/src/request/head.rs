//! What a request's headers say, and which of it is trusted.
//!
//! Clients lie: the session id is hashed, budget and λ count only where the configuration trusts their headers, and an
//! invalid value in a trusted header is the caller's error. So is a trusted header that comes twice: a proxy's value and
//! the client's own would both be there, and which one counts would be a matter of order.

use crate::config::{CLUSTER_HEADER, Config, OnError, OtherCalls, SessionSource};
use crate::counters::{Counter, Counts};
use crate::money::NanoUsd;
use crate::request::api::Api;
use crate::request::call::{Call, Found, find_call};
use crate::request::headers::Headers;
use crate::request::identity::Identity;

/// Prefix of the filter's own headers: a client may not send them upstream.
pub const INTERNAL_PREFIX: &[u8] = b"x-seqroute-";
/// Longest piece of a content encoding in a reply.
const MAX_ENCODING_CHARS: usize = 64;

/// What the headers say about one LLM request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHead {
    /// The call that is made.
    pub call: Call,
    /// Session and tenant.
    pub identity: Identity,
    /// Budget of the session, if it is new.
    pub budget: NanoUsd,
    /// λ of this request.
    pub lambda: f32,
    /// Difficulty of this request as a trusted header gave it, 0 to 1.
    pub difficulty: Option<f32>,
    /// A trusted caller asked for all decision headers.
    pub debug: bool,
    /// `content-length`.
    pub body_bytes: Option<u64>,
    /// The client accepts compressed answers (`accept-encoding` is present).
    pub accepts_encoded: bool,
}

/// Why a request is refused by its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRefusal {
    /// The API that was called, as far as it is known.
    pub api: Api,
    /// What is wrong.
    pub fault: HeadFault,
}

/// What is wrong with a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// A trusted header has an invalid value, or more than one.
    Header {
        /// Name of the header.
        name: String,
        /// The values that are accepted.
        expected: &'static str,
    },
    /// The call is neither counted nor free.
    UnknownCall {
        /// Why it is not served.
        reason: &'static str,
    },
    /// The body has a content encoding, so that it cannot be read.
    Encoded {
        /// The first characters of the encoding.
        encoding: String,
    },
}

/// What to do with a request, by its headers.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadVerdict {
    /// It passes to the default cluster, untouched and not counted.
    Bypass,
    /// A free call: it passes to the default cluster, with what may go there, and is not counted.
    Free(Call),
    /// Refused.
    Refuse(HeadRefusal),
    /// An LLM request.
    Llm(Box<RequestHead>),
}

/// Whether a header is one of the filter's own, which a client may not pass on. Configured inputs are stripped too.
#[must_use]
pub fn is_internal(name: &[u8]) -> bool {
    name.len() >= INTERNAL_PREFIX.len()
        && name.iter().zip(INTERNAL_PREFIX).all(|(byte, expected)| byte.to_ascii_lowercase() == *expected)
        && !name.eq_ignore_ascii_case(CLUSTER_HEADER.as_bytes())
}

impl RequestHead {
    /// Reads the headers of a request. `source` is the client's address as Envoy writes it (`source.address`).
    pub fn read(
        config: &Config,
        headers: &impl Headers,
        source: Option<&[u8]>,
        counts: &mut Counts,
    ) -> HeadVerdict {
        let call = match find_call(config, headers) {
            Found::Counted(call) => call,
            Found::Free(call) => {
                counts.add(Counter::Bypassed, 1);
                return HeadVerdict::Free(call);
            }
            Found::Unknown { .. } if config.calls.others == OtherCalls::Pass || config.is_shadow() => {
                counts.add(Counter::Bypassed, 1);
                return HeadVerdict::Bypass;
            }
            Found::Unknown { api, reason } => {
                counts.add(Counter::RefusedCalls, 1);
                return refuse(api, HeadFault::UnknownCall { reason });
            }
        };
        let api = call.api;
        if let Some(fault) = fault_of_message(config, headers).filter(|_| !config.is_shadow()) {
            counts.add(Counter::InvalidHeader, 1);
            return refuse(api, fault);
        }
        let mut hints = Hints { config, headers, counts };
        let (budget, lambda, difficulty) = match (hints.budget(), hints.lambda(), hints.difficulty()) {
            (Ok(budget), Ok(lambda), Ok(difficulty)) => (budget, lambda, difficulty),
            (Err(fault), ..) | (_, Err(fault), _) | (.., Err(fault)) => return refuse(api, fault),
        };
        let length = headers.get("content-length");
        HeadVerdict::Llm(Box::new(RequestHead {
            call,
            identity: Identity::read(config, headers, source),
            budget,
            lambda,
            difficulty,
            debug: trusted(&config.debug.header, config.debug.trust_header, headers)
                .is_some_and(|value| value == b"true" || value == b"1"),
            body_bytes: length.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()),
            accepts_encoded: headers.get("accept-encoding").is_some(),
        }))
    }
}

fn refuse(api: Api, fault: HeadFault) -> HeadVerdict {
    HeadVerdict::Refuse(HeadRefusal { api, fault })
}

/// Whether a `content-encoding` says that the body is not what its bytes are.
#[must_use]
pub fn is_encoded(encoding: &[u8]) -> bool {
    let mut encodings = encoding.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    encodings.any(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity"))
}

/// What is wrong with a message, whatever its headers say.
fn fault_of_message(config: &Config, headers: &impl Headers) -> Option<HeadFault> {
    let encoding = headers.get("content-encoding").unwrap_or_default();
    if is_encoded(encoding) {
        let encoding = String::from_utf8_lossy(encoding.trim_ascii());
        return Some(HeadFault::Encoded { encoding: encoding.chars().take(MAX_ENCODING_CHARS).collect() });
    }
    let sources = config.session.sources.iter().filter_map(|source| match source {
        SessionSource::Header(name) => Some(name.as_str()),
        SessionSource::Cookie(_) | SessionSource::Body(_) => None,
    });
    let hints = [
        (&config.budget.header, config.budget.trust_header),
        (&config.lambda.header, config.lambda.trust_header),
        (&config.difficulty.header, config.difficulty.trust_header),
        (&config.debug.header, config.debug.trust_header),
    ];
    let hints = hints.into_iter().filter(|(_, trusted)| *trusted).map(|(name, _)| name.as_str());
    let mut single = sources.chain(config.session.tenant_header.as_deref()).chain(hints);
    let repeated = single.find(|name| headers.count(name) > 1)?;
    Some(HeadFault::Header { name: repeated.to_owned(), expected: "one value" })
}

/// The value of a header, if it is trusted.
fn trusted<'a>(header: &str, is_trusted: bool, headers: &'a impl Headers) -> Option<&'a [u8]> {
    if is_trusted { headers.get(header) } else { None }
}

/// Reads the headers that count where they are trusted.
struct Hints<'a, H> {
    config: &'a Config,
    headers: &'a H,
    counts: &'a mut Counts,
}

impl<H: Headers> Hints<'_, H> {
    fn budget(&mut self) -> Result<NanoUsd, HeadFault> {
        let (config, default) = (self.config, self.config.default_budget());
        let Some(value) = trusted(&config.budget.header, config.budget.trust_header, self.headers) else {
            return Ok(default);
        };
        let budget = std::str::from_utf8(value).ok().and_then(|text| NanoUsd::parse_usd(text).ok());
        let budget = budget.filter(|budget| *budget > NanoUsd::ZERO && *budget <= config.max_budget());
        let expected = "a positive decimal number of USD within the maximum";
        budget.map_or_else(|| self.invalid(&config.budget.header, expected, default), Ok)
    }

    fn lambda(&mut self) -> Result<f32, HeadFault> {
        let (hint, default) = (&self.config.lambda, self.config.lambda.value);
        match trusted(&hint.header, hint.trust_header, self.headers).map(|value| number(value, f32::MAX)) {
            None => Ok(default),
            Some(Some(lambda)) => Ok(lambda),
            Some(None) => self.invalid(&hint.header, "a finite number, at least 0", default),
        }
    }

    fn difficulty(&mut self) -> Result<Option<f32>, HeadFault> {
        let hint = &self.config.difficulty;
        match trusted(&hint.header, hint.trust_header, self.headers).map(|value| number(value, 1.0)) {
            None => Ok(None),
            Some(Some(difficulty)) => Ok(Some(difficulty)),
            Some(None) => self.invalid(&hint.header, "a number from 0 to 1", None),
        }
    }

    /// Counts an invalid value; it is refused, or the default serves. A shadow refuses nothing.
    fn invalid<T>(&mut self, header: &str, expected: &'static str, default: T) -> Result<T, HeadFault> {
        self.counts.add(Counter::InvalidHeader, 1);
        let reject = self.config.on_error.invalid_header == OnError::Reject && !self.config.is_shadow();
        if reject { Err(HeadFault::Header { name: header.to_owned(), expected }) } else { Ok(default) }
    }
}

/// A number from 0 to `max`.
fn number(value: &[u8], max: f32) -> Option<f32> {
    let number = std::str::from_utf8(value).ok()?.trim().parse::<f32>().ok()?;
    (0.0..=max).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example as config;
    use serde_json::json;

    fn headers(extra: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let base: [(&str, &[u8]); 3] =
            [(":method", b"POST"), (":path", b"/v1/chat/completions?x=1"), ("content-length", b"120")];
        base.iter().chain(extra).map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
    }

    fn read(config: &Config, extra: &[(&str, &[u8])]) -> HeadVerdict {
        RequestHead::read(config, &headers(extra), None, &mut Counts::default())
    }

    fn llm(verdict: HeadVerdict) -> RequestHead {
        match verdict {
            HeadVerdict::Llm(head) => *head,
            other => panic!("{other:?}"),
        }
    }

    fn is_header(refusal: &HeadRefusal, expected: &str) -> bool {
        matches!(&refusal.fault, HeadFault::Header { name, .. } if name == expected)
    }

    #[test]
    fn an_llm_request_is_recognised_by_method_and_path() {
        let config = config(|_| {});
        let head = llm(read(&config, &[("x-session-id", b"chat-1")]));
        assert_eq!((head.call.path.as_str(), head.body_bytes), ("/v1/chat/completions", Some(120)));
        assert_eq!(head.call.upstream_path(Some("large")), "/v1/chat/completions");
    }

    #[test]
    fn a_compressed_body_and_a_repeated_trusted_header_are_refused() {
        let config = config(|v| v["session"] = json!({"tenant_header": "x-team"}));
        let fault = |extra: &[(&str, &[u8])]| match read(&config, extra) {
            HeadVerdict::Refuse(refusal) => Some(refusal.fault),
            _ => None,
        };
        let encoded = |encoding: &str| Some(HeadFault::Encoded { encoding: encoding.to_owned() });
        assert_eq!(fault(&[("content-encoding", b" zstd ")]), encoded("zstd"));
        assert_eq!(fault(&[("Content-Encoding", b"identity, gzip")]), encoded("identity, gzip"));
        for none in [&b"identity"[..], b"Identity", b"", b" ", b"identity,identity"] {
            assert_eq!(fault(&[("content-encoding", none)]), None);
        }
        let repeated = |name: &str| Some(HeadFault::Header { name: name.to_owned(), expected: "one value" });
        assert_eq!(fault(&[("x-team", b"a"), ("X-Team", b"b")]), repeated("x-team"));
        assert_eq!(fault(&[("x-session-id", b"a"), ("x-session-id", b"a")]), repeated("x-session-id"));
        assert_eq!(
            fault(&[("x-seqroute-lambda", b"1"), ("x-seqroute-lambda", b"2")]),
            None,
            "it is not trusted"
        );
    }

    #[test]
    fn a_budget_header_counts_only_where_it_is_trusted() {
        let header = [("x-session-id", &b"s"[..]), ("x-seqroute-budget-usd", b"0.005")];
        assert_eq!(llm(read(&config(|_| {}), &header)).budget, NanoUsd(10_000_000));
        let trusting = config(|v| v["budget"]["trust_header"] = json!(true));
        assert_eq!(llm(read(&trusting, &header)).budget, NanoUsd(5_000_000));
    }

    #[test]
    fn a_trusted_budget_that_is_not_an_amount_is_refused_or_replaced() {
        let values: [&[u8]; 6] = [b"-1", b"NaN", b"0", b"999", b"\xff", b"1e9"];
        for value in values {
            let header = [("x-session-id", &b"s"[..]), ("x-seqroute-budget-usd", value)];
            let trusting = config(|v| v["budget"]["trust_header"] = json!(true));
            assert!(
                matches!(read(&trusting, &header), HeadVerdict::Refuse(refusal) if is_header(&refusal, header[1].0)),
                "{value:?}"
            );
            let lenient = config(|v| {
                v["budget"]["trust_header"] = json!(true);
                v["on_error"] = json!({"invalid_header": "use_default"});
            });
            assert_eq!(llm(read(&lenient, &header)).budget, NanoUsd(10_000_000));
        }
    }

    #[test]
    fn a_difficulty_and_a_request_for_debug_headers_count_only_where_they_are_trusted() {
        let header = [("x-seqroute-difficulty", &b"0.7"[..]), ("x-seqroute-debug", b"true")];
        let head = llm(read(&config(|_| {}), &header));
        assert_eq!((head.difficulty, head.debug), (None, false));
        let trusting = config(|v| {
            v["difficulty"] = json!({"header": "x-seqroute-difficulty", "trust_header": true});
            v["debug"] = json!({"header": "x-seqroute-debug", "trust_header": true});
        });
        let head = llm(read(&trusting, &header));
        assert_eq!((head.difficulty, head.debug), (Some(0.7), true));
        let wrong = read(&trusting, &[("x-seqroute-difficulty", b"1.5")]);
        assert!(
            matches!(wrong, HeadVerdict::Refuse(refusal) if is_header(&refusal, "x-seqroute-difficulty"))
        );
    }

    #[test]
    fn a_shadow_does_not_refuse_headers() {
        let shadow = config(|v| {
            v["budget"]["trust_header"] = json!(true);
            v["enforcement"] = json!("shadow");
        });
        assert_eq!(llm(read(&shadow, &[("x-seqroute-budget-usd", b"-1")])).budget, NanoUsd(10_000_000));
    }

    #[test]
    fn our_own_headers_are_internal_but_the_route_is_kept() {
        assert!(is_internal(b"X-SeqRoute-Budget-Usd") && is_internal(b"x-seqroute-lambda"));
        assert!(
            !is_internal(b"x-seqroute-cluster") && !is_internal(b"x-session-id") && !is_internal(b"x-seq")
        );
    }
}
