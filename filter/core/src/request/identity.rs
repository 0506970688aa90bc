//! Which session, which conversation of it, which tenant and which caller a request belongs to.
//!
//! The configured sources are consulted in their order: headers and cookies when the headers come, fields of the body
//! once it was read. The first that has an id wins, so an earlier body field wins over a later header. Ids that are
//! empty or longer than [`MAX_RAW_ID_BYTES`] count as absent. The tenant's name is hashed into every session id: the
//! same id of two tenants is two sessions.

use std::borrow::Cow;

use serde::Deserialize;

use crate::config::{BodySource, Config, Purse, SessionSource};
use crate::money::NanoUsd;
use crate::request::caller::{Caller, Network};
use crate::request::conversation::{Conversation, Opening};
use crate::request::headers::Headers;
use crate::request::session_id::{MAX_RAW_ID_BYTES, SessionId};

/// A tenant and its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Salted hash of its name, or of all names that share one purse.
    pub id: SessionId,
    /// What it may spend, in all or per window.
    pub budget: NanoUsd,
    /// The configuration knows it, so its account always has a place.
    pub has_place: bool,
}

/// Members of a body that may name its session, decoded; one that is empty or longer than [`MAX_RAW_ID_BYTES`] counts
/// as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodySessionIds {
    /// `metadata.session_id`
    pub metadata_session_id: Option<Vec<u8>>,
    /// `conversation`, a text or `{"id": …}`
    pub conversation: Option<Vec<u8>>,
    /// `prompt_cache_key`
    pub prompt_cache_key: Option<Vec<u8>>,
    /// `metadata.user_id`
    pub metadata_user_id: Option<Vec<u8>>,
    /// `user`: the end user, not a session
    pub user: Option<Vec<u8>>,
    /// How it begins.
    pub opening: Opening,
}

/// What the headers say about a request's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The tenant's name; empty without one.
    tenant_name: Vec<u8>,
    /// The tenant; `None` where tenants have no budgets, and for a name that is refused.
    tenant: Option<Tenant>,
    /// Tenants have budgets, and none is for this name.
    is_unknown_tenant: bool,
    /// Who sends the request.
    caller: Caller,
    /// The session that a header or cookie names, and the rank of that source.
    session: Option<(usize, SessionId)>,
    /// The conversation that a header names.
    conversation: Option<Conversation>,
}

impl Identity {
    /// Reads headers and cookies. `source` is the client's address as Envoy writes it.
    #[must_use]
    pub fn read(config: &Config, headers: &impl Headers, source: Option<&[u8]>) -> Identity {
        let salt = config.salt.as_bytes();
        let name =
            config.session.tenant_header.as_ref().and_then(|name| headers.get(name)).unwrap_or_default();
        let purse = config.tenants.as_ref().map(|tenants| tenants.purse(name));
        let is_unknown_tenant = purse == Some(None);
        let purse = purse.flatten();
        let tenant = purse.map(|purse| tenant(salt, name, purse));
        let caller = match (purse, tenant) {
            (Some(Purse::Named(_) | Purse::Each(_)), Some(tenant)) => Caller::Tenant(tenant.id),
            _ => Caller::Address(Network::of(source)),
        };
        let mut sources = config.session.sources.iter().enumerate();
        let session = sources.find_map(|(rank, source)| {
            let raw = match source {
                SessionSource::Header(name) => headers.get(name)?,
                SessionSource::Cookie(name) => cookie(headers.get("cookie")?, name)?,
                SessionSource::Body(_) => return None,
            };
            fits(raw).then(|| (rank, SessionId::new(salt, name, raw)))
        });
        let conversation = Conversation::named(headers, &config.session.agent_headers);
        Identity { tenant_name: name.to_vec(), tenant, is_unknown_tenant, caller, session, conversation }
    }

    /// The session, once the body is known as far as it will be: the first of the configured sources that has an id.
    #[must_use]
    pub fn session(&self, config: &Config, body: Option<&BodySessionIds>) -> Option<SessionId> {
        let by_headers = self.session.map_or(usize::MAX, |(rank, _)| rank);
        let earlier = config.session.sources.iter().enumerate().filter(|(rank, _)| *rank < by_headers);
        let mut raw_ids = earlier.filter_map(|(_, source)| match source {
            SessionSource::Body(BodySource::Opening) => self.opening_of(config, body?),
            SessionSource::Body(field) => field_of(body?, *field),
            SessionSource::Header(_) | SessionSource::Cookie(_) => None,
        });
        let salt = config.salt.as_bytes();
        let in_body = raw_ids.next().map(|raw| SessionId::new(salt, &self.tenant_name, &raw));
        in_body.or(self.session.map(|(_, id)| id))
    }

    /// The conversation within the session, once the body is known as far as it will be.
    #[must_use]
    pub fn conversation(&self, body: Option<&BodySessionIds>) -> Conversation {
        let begun = || body.map(|body| Conversation::of_opening(body.opening)).unwrap_or_default();
        self.conversation.unwrap_or_else(begun)
    }

    /// How a body begins, for one caller: strangers who begin alike have nothing in common.
    fn opening_of(&self, config: &Config, body: &BodySessionIds) -> Option<Cow<'static, [u8]>> {
        let first = body.opening.first?;
        let caller = self.caller.id(config.salt.as_bytes());
        Some(Cow::Owned([&b"opening"[..], &caller.0, &first.to_le_bytes()].concat()))
    }

    /// The tenant and its budget, where tenants have budgets.
    #[must_use]
    pub fn tenant(&self) -> Option<Tenant> {
        self.tenant
    }

    /// Whether tenants have budgets and the request names none of them, nor is there a purse for unknown names.
    #[must_use]
    pub fn is_unknown_tenant(&self) -> bool {
        self.is_unknown_tenant
    }

    /// Who sends the request: the tenant where it has a purse of its own, else the client's address.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

fn tenant(salt: &[u8], name: &[u8], purse: Purse) -> Tenant {
    let of_name = || SessionId::new(salt, name, b"");
    match purse {
        Purse::Named(budget) => Tenant { id: of_name(), budget, has_place: true },
        Purse::Each(budget) => Tenant { id: of_name(), budget, has_place: false },
        // No name has this hash: those are of an empty id.
        Purse::Shared(budget) => {
            Tenant { id: SessionId::new(salt, b"", b"all unknown tenants"), budget, has_place: true }
        }
    }
}

fn field_of(body: &BodySessionIds, field: BodySource) -> Option<Cow<'_, [u8]>> {
    let id = match field {
        BodySource::MetadataUserIdSession => return session_in(body.metadata_user_id.as_deref()?),
        BodySource::Opening => return None,
        BodySource::MetadataSessionId => &body.metadata_session_id,
        BodySource::Conversation => &body.conversation,
        BodySource::PromptCacheKey => &body.prompt_cache_key,
        BodySource::MetadataUserId => &body.metadata_user_id,
        BodySource::User => &body.user,
    };
    id.as_deref().map(Cow::Borrowed)
}

/// The session that Claude Code writes into `metadata.user_id`: as a member of a JSON text, or (before 2.1.86) behind
/// `_session_`.
fn session_in(user_id: &[u8]) -> Option<Cow<'_, [u8]>> {
    #[derive(Deserialize)]
    struct UserId {
        session_id: String,
    }
    let in_json = serde_json::from_slice::<UserId>(user_id).ok();
    let in_json = in_json.map(|user_id| Cow::Owned(user_id.session_id.into_bytes()));
    let at_end = || {
        let text = std::str::from_utf8(user_id).ok()?.strip_prefix("user_")?;
        Some(Cow::Borrowed(text.rsplit_once("_session_")?.1.as_bytes()))
    };
    in_json.or_else(at_end).filter(|id| fits(id))
}

fn fits(raw: &[u8]) -> bool {
    !raw.is_empty() && raw.len() <= MAX_RAW_ID_BYTES
}

/// The value of a cookie in a `cookie` header (RFC 6265, 4.2.1), without quotes around it.
fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let pairs = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let value = pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()?;
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::changed_example as config;
    use serde_json::json;

    fn read(config: &Config, headers: &[(&str, &[u8])]) -> Identity {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        Identity::read(config, &headers, Some(b"10.0.0.1:5000"))
    }

    #[test]
    fn a_session_id_of_any_bytes_is_hashed() {
        let config = config(|_| {});
        assert!(read(&config, &[("x-session-id", b"\xff\xfe")]).session(&config, None).is_some());
        assert_eq!(read(&config, &[("x-session-id", &[b'a'; 256])]).session(&config, None), None);
        assert_eq!(read(&config, &[("x-session-id", b"")]).session(&config, None), None);
    }

    #[test]
    fn the_first_source_that_has_an_id_wins() {
        let config =
            config(|v| v["session"] = json!({"sources": [{"cookie": "sid"}, {"header": "x-session-id"}]}));
        let by_header = read(&config, &[("x-session-id", b"one")]);
        let both = read(&config, &[("x-session-id", b"one"), ("cookie", b"a=b; sid=two; sid=three")]);
        let by_cookie = read(&config, &[("cookie", b"sid=\"two\"")]);
        assert!(by_header.session(&config, None).is_some());
        assert_ne!(by_header.session(&config, None), both.session(&config, None));
        assert_eq!(both.session(&config, None), by_cookie.session(&config, None));
        // An empty cookie is none, and `xsid` is another one.
        let empty = read(&config, &[("x-session-id", b"one"), ("cookie", b"sid=; xsid=two")]);
        assert_eq!(empty.session(&config, None), by_header.session(&config, None));
    }

    #[test]
    fn a_body_field_wins_over_a_later_header_and_serves_in_place_of_an_earlier_one_that_is_absent() {
        let order = |sources| {
            config(|v| {
                v["session"] = json!({"sources": sources});
                v["members"] = json!({"stored_state": "allow"});
            })
        };
        let body = BodySessionIds { conversation: Some(b"conv".to_vec()), ..BodySessionIds::default() };
        let field_first = order(json!([{"body": "conversation"}, {"header": "x-session-id"}]));
        let header_first = order(json!([{"header": "x-session-id"}, {"body": "conversation"}]));
        let with_header = [("x-session-id", &b"one"[..])];
        let of = |config: &Config, headers: &[(&str, &[u8])]| {
            read(config, headers).session(config, Some(&body)).unwrap()
        };
        assert_eq!(of(&field_first, &with_header), of(&field_first, &[]));
        assert_ne!(of(&header_first, &with_header), of(&header_first, &[]));
        assert_eq!(of(&header_first, &[]), of(&field_first, &[]));
        // The same text names the same session in every source.
        assert_eq!(of(&header_first, &[("x-session-id", b"conv")]), of(&header_first, &[]));
    }

    #[test]
    fn the_session_of_each_client_is_found_without_any_setting() {
        let config = config(|_| {});
        let by_header = |name: &str| read(&config, &[(name, b"s1")]).session(&config, None).unwrap();
        for name in [
            "x-claude-code-session-id",
            "session-id",
            "session_id",
            "x-session-affinity",
            "x-opencode-session",
            "x-amp-thread-id",
            "x-litellm-session-id",
        ] {
            assert_eq!(by_header(name), by_header("x-session-id"), "{name}");
        }
        let both = read(&config, &[("session-id", b"s2"), ("x-claude-code-session-id", b"s1")]);
        assert_eq!(both.session(&config, None), Some(by_header("x-session-id")));
        let child = read(&config, &[("x-session-id", b"child"), ("x-parent-session-id", b"s1")]);
        assert_eq!(child.session(&config, None), Some(by_header("x-session-id")));
    }

    #[test]
    fn claude_codes_user_id_names_its_session_and_any_other_user_id_names_none() {
        let config = config(|_| {});
        let of = |user_id: &str| {
            let body = BodySessionIds {
                metadata_user_id: Some(user_id.as_bytes().to_vec()),
                ..BodySessionIds::default()
            };
            read(&config, &[]).session(&config, Some(&body))
        };
        let expected = read(&config, &[("x-session-id", b"s-1")]).session(&config, None);
        assert_eq!(of(r#"{"device_id":"d","account_uuid":"","session_id":"s-1"}"#), expected);
        assert_eq!(of("user_0123_account__session_s-1"), expected);
        for other in [
            "alice",
            "team_session_s-1",
            r#"{"session_id":7}"#,
            r#"{"session_id":""}"#,
            "user_1_session_",
            "{",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_body_that_begins_alike_is_one_session_of_its_caller_where_the_operator_says_so() {
        let config =
            config(|v| v["session"] = json!({"sources": [{"header": "x-session-id"}, {"body": "opening"}]}));
        let body =
            |first| BodySessionIds { opening: Opening { first, system: None }, ..BodySessionIds::default() };
        let of = |address: &str, first| {
            let headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            Identity::read(&config, &headers, Some(address.as_bytes())).session(&config, Some(&body(first)))
        };
        assert!(of("10.0.0.1:5000", Some(7)).is_some());
        assert_eq!(of("10.0.0.1:5000", Some(7)), of("10.0.0.1:6000", Some(7)));
        assert_ne!(of("10.0.0.1:5000", Some(7)), of("10.0.0.1:5000", Some(8)));
        assert_ne!(of("10.0.0.1:5000", Some(7)), of("10.0.0.2:5000", Some(7)));
        assert_eq!(of("10.0.0.1:5000", None), None);
    }

    #[test]
    fn tenants_are_kept_apart_and_have_budgets() {
        let config = config(|v| {
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"default_usd": "1", "default_per_name": true, "budgets_usd": {"a": "5"}});
        });
        let [a, b] = [b"a", b"b"].map(|team| read(&config, &[("x-session-id", b"s"), ("x-team", team)]));
        assert_ne!(a.session(&config, None), b.session(&config, None));
        let [a, b] = [a, b].map(|identity| {
            let tenant = identity.tenant().unwrap();
            assert_eq!(identity.caller(), &Caller::Tenant(tenant.id));
            tenant
        });
        assert_ne!(a.id, b.id);
        assert_eq!((a.budget.0, b.budget.0), (5_000_000_000, 1_000_000_000));
        assert_eq!((a.has_place, b.has_place), (true, false));
    }

    #[test]
    fn names_that_are_not_configured_share_one_purse_and_are_told_apart_by_address() {
        let config = config(|v| {
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"default_usd": "1", "budgets_usd": {"a": "5"}});
        });
        let invented = [&b"b"[..], b"c", b"\xff", b""].map(|team| {
            let identity = read(&config, &[("x-session-id", b"s"), ("x-team", team)]);
            assert_eq!(identity.caller(), &Caller::Address(Network::V4([10, 0, 0, 1])));
            identity.tenant().unwrap()
        });
        let without = read(&config, &[("x-session-id", b"s")]).tenant().unwrap();
        assert!(invented.iter().all(|tenant| *tenant == without), "{invented:?}");
        let named = read(&config, &[("x-team", b"a")]).tenant().unwrap();
        assert_ne!(named.id, without.id);
    }

    #[test]
    fn without_a_default_only_configured_names_are_known() {
        let config = config(|v| {
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"budgets_usd": {"a": "5"}});
        });
        let of = |headers: &[(&str, &[u8])]| {
            let identity = read(&config, headers);
            (identity.is_unknown_tenant(), identity.tenant().map(|tenant| tenant.budget.0))
        };
        assert_eq!(of(&[("x-team", b"a")]), (false, Some(5_000_000_000)));
        assert_eq!(of(&[("x-team", b"A")]), (true, None));
        assert_eq!(of(&[]), (true, None));
    }
}
