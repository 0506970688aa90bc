//! What a request's headers say, and whether they may be believed.
//!
//! Clients lie: the session id is hashed, budget and λ count only where the configuration trusts their headers, and
//! a trusted header that makes no sense is an error of the caller, not a free lunch.

use crate::api::path_matches;
use crate::config::{CLUSTER_HEADER, Config, NoSession, OnError};
use crate::counters::{Counter, Counts};
use crate::local_reply::{LocalReply, Refusal};
use crate::money::NanoUsd;
use crate::session_id::{MAX_RAW_ID_BYTES, SessionId};

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
    /// The session; `None` for a request without one that is served by the default budget.
    pub session: Option<SessionId>,
    /// Budget of the session, if it is new.
    pub budget: NanoUsd,
    /// λ of this request.
    pub lambda: f32,
    /// `content-length`.
    pub body_bytes: Option<u64>,
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
        let session = session(config, headers);
        if session.is_none() {
            counts.add(Counter::NoSession, 1);
            match config.session.no_session {
                NoSession::DefaultBudget => {}
                NoSession::Bypass => {
                    counts.add(Counter::Bypassed, 1);
                    return HeadVerdict::Bypass;
                }
                NoSession::Reject => {
                    let expected = config.session.headers.join("`, `");
                    let refusal = Refusal::NoSession { expected };
                    return HeadVerdict::Refuse(Box::new(LocalReply::new(&refusal, config, &path)));
                }
            }
        }
        let mut refuse = |header: &str, expected: &'static str| {
            counts.add(Counter::InvalidHeader, 1);
            let refusal = Refusal::InvalidHeader { header: header.to_owned(), expected };
            (config.on_error.invalid_header == OnError::Reject)
                .then(|| HeadVerdict::Refuse(Box::new(LocalReply::new(&refusal, config, &path))))
        };
        let budget = match trusted_budget(config, headers) {
            Ok(budget) => budget,
            Err(()) => {
                match refuse(&config.budget.header, "a positive decimal number of USD within the maximum") {
                    Some(verdict) => return verdict,
                    None => config.default_budget(),
                }
            }
        };
        let lambda = match trusted_lambda(config, headers) {
            Ok(lambda) => lambda,
            Err(()) => match refuse(&config.lambda.header, "a finite number, at least 0") {
                Some(verdict) => return verdict,
                None => config.lambda.value,
            },
        };
        let body_bytes =
            headers.get("content-length").and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        HeadVerdict::Llm(Box::new(RequestHead { path, session, budget, lambda, body_bytes }))
    }
}

fn path_without_query(headers: &impl Headers) -> String {
    let path = headers.get(":path").unwrap_or_default();
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    String::from_utf8_lossy(path).into_owned()
}

fn session(config: &Config, headers: &impl Headers) -> Option<SessionId> {
    let fits = |id: &Vec<u8>| !id.is_empty() && id.len() <= MAX_RAW_ID_BYTES;
    let raw_id = config.session.headers.iter().find_map(|name| headers.get(name).filter(fits))?;
    let tenant = config.session.tenant_header.as_ref().and_then(|name| headers.get(name)).unwrap_or_default();
    Some(SessionId::new(config.salt.as_bytes(), &tenant, &raw_id))
}

fn trusted_budget(config: &Config, headers: &impl Headers) -> Result<NanoUsd, ()> {
    let value = if config.budget.trust_header { headers.get(&config.budget.header) } else { None };
    let Some(value) = value else {
        return Ok(config.default_budget());
    };
    let text = std::str::from_utf8(&value).map_err(|_| ())?;
    let budget = NanoUsd::parse_usd(text).map_err(|_| ())?;
    if budget > NanoUsd::ZERO && budget <= config.max_budget() { Ok(budget) } else { Err(()) }
}

fn trusted_lambda(config: &Config, headers: &impl Headers) -> Result<f32, ()> {
    let value = if config.lambda.trust_header { headers.get(&config.lambda.header) } else { None };
    let Some(value) = value else {
        return Ok(config.lambda.value);
    };
    let lambda: f32 = std::str::from_utf8(&value).map_err(|_| ())?.trim().parse().map_err(|_| ())?;
    if lambda.is_finite() && lambda >= 0.0 { Ok(lambda) } else { Err(()) }
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
    fn a_session_id_of_any_bytes_is_hashed() {
        let config = config(|_| {});
        assert!(llm(read(&config, &[("x-session-id", b"\xff\xfe")])).session.is_some());
        assert_eq!(llm(read(&config, &[("x-session-id", &[b'a'; 256])])).session, None);
        assert_eq!(llm(read(&config, &[("x-session-id", b"")])).session, None);
    }

    #[test]
    fn no_session_follows_the_configuration() {
        assert_eq!(llm(read(&config(|_| {}), &[])).session, None);
        let bypass = config(|v| v["session"] = json!({"no_session": "bypass"}));
        assert_eq!(read(&bypass, &[]), HeadVerdict::Bypass);
        let reject = config(|v| v["session"] = json!({"no_session": "reject"}));
        assert!(matches!(read(&reject, &[]), HeadVerdict::Refuse(reply) if reply.status == 400));
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
    fn our_own_headers_are_internal_but_the_route_is_kept() {
        assert!(is_internal(b"X-SeqRoute-Budget-Usd") && is_internal(b"x-seqroute-lambda"));
        assert!(
            !is_internal(b"x-seqroute-cluster") && !is_internal(b"x-session-id") && !is_internal(b"x-seq")
        );
    }
}
