//! Which headers of a request reach an upstream.
//!
//! Whatever a client sends for its own purposes stays here: keys for other providers, cookies, session ids, and headers by
//! which routers and providers choose a model, a tier, an account or a server (`filter/docs/api-facts.md`, section 7). New
//! ones appear faster than a list of them could grow, so this is a list of what is kept.

use std::borrow::Cow;

use crate::config::Config;
use crate::pattern::covers;

/// Headers that every call may have; a name that ends in `*` stands for all that begin like it. Those with `x-forwarded-` and
/// `x-envoy-` are Envoy's: a client's own are removed on arrival.
pub const KEPT: [&str; 23] = [
    ":*",
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-version",
    "b3",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-b3-*",
    "x-envoy-*",
    "x-forwarded-*",
    "x-request-id",
    "x-seqroute-cluster",
    "x-stainless-*",
];

/// The type of every body that goes on: it was read as JSON, whatever the client calls it, and so the server must read it.
pub const JSON: &str = "application/json";

/// What happens to a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// It goes on as it is.
    Keep,
    /// It goes on with another value.
    Put(String),
    /// It is removed.
    Remove,
}

/// What happens to a header of a request. `name` may have any case.
#[must_use]
pub fn forward(config: &Config, name: &[u8], value: &[u8]) -> Forward {
    // Envoy hands names over in lower case.
    let lower = match name.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    };
    match &*lower {
        b"anthropic-beta" => return forward_betas(&config.forward.betas, value),
        b"content-type" if !is_json(value) => return Forward::Put(JSON.to_owned()),
        _ => {}
    }
    let is_kept = |listed: &str| covers(listed, &lower);
    if KEPT.iter().copied().any(is_kept) || config.forward.headers.iter().any(|listed| is_kept(listed)) {
        Forward::Keep
    } else {
        Forward::Remove
    }
}

fn forward_betas(allowed: &[String], value: &[u8]) -> Forward {
    let value = std::str::from_utf8(value).unwrap_or_default();
    let betas = value.split(',').map(str::trim);
    let kept = betas.filter(|beta| allowed.iter().any(|listed| covers(listed, beta.as_bytes())));
    let kept = kept.collect::<Vec<_>>().join(",");
    match kept.as_str() {
        "" => Forward::Remove,
        same if same == value => Forward::Keep,
        _ => Forward::Put(kept),
    }
}

/// Whether a content type is JSON in UTF-8.
fn is_json(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().unwrap_or_default();
    let named = media_type == JSON.as_bytes()
        || (media_type.starts_with(b"application/") && media_type.ends_with(b"+json"));
    named && parts.all(|parameter| matches!(parameter, b"" | b"charset=utf-8" | b"charset=\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example as config;
    use serde_json::json;

    #[test]
    fn credentials_cookies_and_session_ids_stay_here() {
        let config = config(|_| {});
        let removed = [
            "authorization",
            "X-Api-Key",
            "api-key",
            "x-goog-api-key",
            "cookie",
            "x-session-id",
            "openai-organization",
            "x-amz-security-token",
            "x-litellm-tags",
            "x-portkey-config",
            "x_seqroute_cluster",
            "x-model",
            "anthropic-betas",
            "x-http-method-override",
            "proxy-authorization",
        ];
        for name in removed {
            assert_eq!(forward(&config, name.as_bytes(), b"x"), Forward::Remove, "{name}");
        }
        for name in
            [":path", "Content-Length", "traceparent", "x-stainless-os", "x-request-id", "anthropic-version"]
        {
            assert_eq!(forward(&config, name.as_bytes(), b"x"), Forward::Keep, "{name}");
        }
        assert_eq!(forward(&config, b"x-\xff", b""), Forward::Remove);
    }

    #[test]
    fn a_body_goes_on_as_json_whatever_the_client_calls_it() {
        let config = config(|_| {});
        for json in ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.api+json"] {
            assert_eq!(forward(&config, b"Content-Type", json.as_bytes()), Forward::Keep, "{json}");
        }
        for other in
            ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
        {
            let expected = Forward::Put(JSON.to_owned());
            assert_eq!(forward(&config, b"content-type", other.as_bytes()), expected, "{other}");
        }
    }

    #[test]
    fn the_operator_may_keep_more() {
        let config = config(|v| v["forward"] = json!({"headers": ["authorization", "x-mock-*"]}));
        for name in ["Authorization", "x-mock-delay-ms"] {
            assert_eq!(forward(&config, name.as_bytes(), b"x"), Forward::Keep, "{name}");
        }
    }

    #[test]
    fn of_beta_features_those_that_cost_no_more_than_tokens_are_kept() {
        let config = config(|_| {});
        let of = |value: &str| forward(&config, b"anthropic-beta", value.as_bytes());
        assert_eq!(of("claude-code-20250219,effort-2025-11-24"), Forward::Keep);
        assert_eq!(
            of("claude-code-20250219, context-1m-2025-08-07,effort-2025-11-24"),
            Forward::Put("claude-code-20250219,effort-2025-11-24".to_owned())
        );
        assert_eq!(of("fast-mode-2026-02-01"), Forward::Remove);
    }
}
