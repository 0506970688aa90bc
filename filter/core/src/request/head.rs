//! What a request's headers say, and whether they may be believed.
//!
//! Clients lie: the session id is hashed, budget and λ count only where the configuration trusts their headers, and
//! a trusted header that makes no sense is an error of the caller, not a free lunch.

use crate::request::api::path_matches;
use crate::config::{CLUSTER_HEADER, Config, Enforcement, OnError};
use crate::counters::{Counter, Counts};
use crate::request::identity::Identity;
use crate::reply::local_reply::{LocalReply, Refusal};
use crate::money::NanoUsd;

/// Prefix of the headers that are ours: a client may not send them upstream.
pub const INTERNAL_PREFIX: &[u8] = b"x-seqroute-";

/// The headers of a request, as bytes.
pub trait Headers {
    /// The first value of a header (lower-case name), `None` when it is absent or cannot be read.
    fn get(&self, name: &str) -> Option<Vec<u8>>;
}

impl Headers for Vec<(Vec<u8>, Vec<u8>)> {
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.clone())
    }
}

/// What the headers say about one LLM request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHead {
    /// Path without its query.
    pub path: String,
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
    /// The client takes compressed answers (`accept-encoding` is there).
    pub accepts_encoded: bool,
}

/// What to do with a request, by its headers.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadVerdict {
    /// Not for us: it passes to the default cluster.
    Bypass,
    /// Refused.
    Refuse(Box<LocalReply>),
    /// An LLM request.
    Llm(Box<RequestHead>),
}

/// Whether a header is one of ours that a client may not pass on. Configured inputs are stripped too.
#[must_use]
pub fn is_internal(name: &[u8]) -> bool {
    name.len() >= INTERNAL_PREFIX.len()
        && name.iter().zip(INTERNAL_PREFIX).all(|(byte, expected)| byte.to_ascii_lowercase() == *expected)
        && !name.eq_ignore_ascii_case(CLUSTER_HEADER.as_bytes())
}

impl RequestHead {
    /// Reads the headers of a request.
    pub fn read(config: &Config, headers: &impl Headers, counts: &mut Counts) -> HeadVerdict {
        let path = path_without_query(headers);
        let is_post = headers.get(":method").as_deref() == Some(b"POST");
        if !is_post || !config.paths.iter().any(|configured| path_matches(configured, &path)) {
            counts.add(Counter::Bypassed, 1);
            return HeadVerdict::Bypass;
        }
        // In a shadow nothing is refused.
        let reject =
            config.on_error.invalid_header == OnError::Reject && config.enforcement == Enforcement::Enforce;
        let mut invalid = |header: &str, expected: &'static str| {
            counts.add(Counter::InvalidHeader, 1);
            let refusal = Refusal::InvalidHeader { header: header.to_owned(), expected };
            reject.then(|| HeadVerdict::Refuse(Box::new(LocalReply::new(&refusal, config, &path, 0))))
        };
        let budget = trusted_budget(config, headers).or_else(|expected| {
            invalid(&config.budget.header, expected).map_or(Ok(config.default_budget()), Err)
        });
        let lambda = trusted(&config.lambda.header, config.lambda.trust_header, headers);
        let lambda = number(lambda, f32::MAX, "a finite number, at least 0")
            .or_else(|expected| invalid(&config.lambda.header, expected).map_or(Ok(None), Err));
        let difficulty = trusted(&config.difficulty.header, config.difficulty.trust_header, headers);
        let difficulty = number(difficulty, 1.0, "a number from 0 to 1")
            .or_else(|expected| invalid(&config.difficulty.header, expected).map_or(Ok(None), Err));
        let (budget, lambda, difficulty) = match (budget, lambda, difficulty) {
            (Ok(budget), Ok(lambda), Ok(difficulty)) => (budget, lambda, difficulty),
            (Err(refuse), ..) | (_, Err(refuse), _) | (.., Err(refuse)) => return refuse,
        };
        let length = headers.get("content-length");
        HeadVerdict::Llm(Box::new(RequestHead {
            identity: Identity::read(config, headers),
            budget,
            lambda: lambda.unwrap_or(config.lambda.value),
            difficulty,
            debug: trusted(&config.debug.header, config.debug.trust_header, headers)
                .is_some_and(|value| value == b"true" || value == b"1"),
            body_bytes: length.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()),
            accepts_encoded: headers.get("accept-encoding").is_some(),
            path,
        }))
    }
}

fn path_without_query(headers: &impl Headers) -> String {
    let path = headers.get(":path").unwrap_or_default();
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    String::from_utf8_lossy(path).into_owned()
}

/// The value of a header, if it is believed.
fn trusted(header: &str, is_trusted: bool, headers: &impl Headers) -> Option<Vec<u8>> {
    if is_trusted { headers.get(header) } else { None }
}

fn trusted_budget(config: &Config, headers: &impl Headers) -> Result<NanoUsd, &'static str> {
    let expected = "a positive decimal number of USD within the maximum";
    let Some(value) = trusted(&config.budget.header, config.budget.trust_header, headers) else {
        return Ok(config.default_budget());
    };
    let text = std::str::from_utf8(&value).map_err(|_| expected)?;
    let budget = NanoUsd::parse_usd(text).map_err(|_| expected)?;
    if budget > NanoUsd::ZERO && budget <= config.max_budget() { Ok(budget) } else { Err(expected) }
}

/// A number from 0 to `max`; `None` where there is no value.
fn number(value: Option<Vec<u8>>, max: f32, expected: &'static str) -> Result<Option<f32>, &'static str> {
    let Some(value) = value else { return Ok(None) };
    let number = std::str::from_utf8(&value).ok().and_then(|text| text.trim().parse::<f32>().ok());
    let number = number.filter(|number| (0.0..=max).contains(number));
    number.map(Some).ok_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::example;
    use serde_json::{Value, json};

    fn config(change: impl FnOnce(&mut Value)) -> Config {
        let mut value = example();
        change(&mut value);
        Config::from_json(value.to_string().as_bytes()).unwrap()
    }

    fn headers(extra: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let base: [(&str, &[u8]); 3] =
            [(":method", b"POST"), (":path", b"/v1/chat/completions?x=1"), ("content-length", b"120")];
        base.iter().chain(extra).map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
    }

    fn read(config: &Config, extra: &[(&str, &[u8])]) -> HeadVerdict {
        RequestHead::read(config, &headers(extra), &mut Counts::default())
    }

    fn llm(verdict: HeadVerdict) -> RequestHead {
        match verdict {
            HeadVerdict::Llm(head) => *head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_llm_request_is_recognised_by_method_and_path() {
        let config = config(|_| {});
        let head = llm(read(&config, &[("x-session-id", b"chat-1")]));
        assert_eq!((head.path.as_str(), head.body_bytes), ("/v1/chat/completions", Some(120)));
        let get = vec![
            (b":method".to_vec(), b"GET".to_vec()),
            (b":path".to_vec(), b"/v1/chat/completions".to_vec()),
        ];
        assert_eq!(RequestHead::read(&config, &get, &mut Counts::default()), HeadVerdict::Bypass);
    }

    #[test]
    fn a_budget_header_counts_only_where_it_is_trusted() {
        let header = [("x-session-id", &b"s"[..]), ("x-seqroute-budget-usd", b"0.005")];
        assert_eq!(llm(read(&config(|_| {}), &header)).budget, NanoUsd(10_000_000));
        let trusting = config(|v| v["budget"]["trust_header"] = json!(true));
        assert_eq!(llm(read(&trusting, &header)).budget, NanoUsd(5_000_000));
    }

    #[test]
    fn a_trusted_budget_that_is_no_amount_is_refused_or_replaced() {
        let values: [&[u8]; 6] = [b"-1", b"NaN", b"0", b"999", b"\xff", b"1e9"];
        for value in values {
            let header = [("x-session-id", &b"s"[..]), ("x-seqroute-budget-usd", value)];
            let trusting = config(|v| v["budget"]["trust_header"] = json!(true));
            assert!(
                matches!(read(&trusting, &header), HeadVerdict::Refuse(reply) if reply.status == 400),
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
    fn a_difficulty_and_a_wish_for_debugging_count_only_where_they_are_trusted() {
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
        assert!(matches!(wrong, HeadVerdict::Refuse(reply) if reply.status == 400));
    }

    #[test]
    fn a_shadow_refuses_no_header() {
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
