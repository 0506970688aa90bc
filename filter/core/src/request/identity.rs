//! Which session and which tenant a request belongs to.
//!
//! The configured sources are consulted in their order: headers and cookies when the headers come, fields of the body
//! once it was read. The first that has an id wins, so an earlier body field wins over a later header. Ids that are
//! empty or longer than [`MAX_RAW_ID_BYTES`] count as absent. The tenant's name is hashed into every session id: the
//! same id of two tenants is two sessions.

use crate::config::{BodySource, Config, SessionSource};
use crate::money::NanoUsd;
use crate::request::headers::Headers;
use crate::request::session_id::{MAX_RAW_ID_BYTES, SessionId};

/// A tenant and its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Salted hash of its name.
    pub id: SessionId,
    /// What it may spend, in all or per window.
    pub budget: NanoUsd,
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
}

/// What the headers say about a request's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The tenant's name; empty without one.
    tenant_name: Vec<u8>,
    /// The tenant; `None` where tenants have no budgets.
    tenant: Option<Tenant>,
    /// The session that a header or cookie names, and the rank of that source.
    session: Option<(usize, SessionId)>,
}

impl Identity {
    /// Reads headers and cookies.
    #[must_use]
    pub fn read(config: &Config, headers: &impl Headers) -> Identity {
        let salt = config.salt.as_bytes();
        let name =
            config.session.tenant_header.as_ref().and_then(|name| headers.get(name)).unwrap_or_default();
        let tenant = config.tenants.as_ref();
        let tenant = tenant
            .map(|tenants| Tenant { id: SessionId::new(salt, name, b""), budget: tenants.budget(name) });
        let mut sources = config.session.sources.iter().enumerate();
        let session = sources.find_map(|(rank, source)| {
            let raw = match source {
                SessionSource::Header(name) => headers.get(name)?,
                SessionSource::Cookie(name) => cookie(headers.get("cookie")?, name)?,
                SessionSource::Body(_) => return None,
            };
            fits(raw).then(|| (rank, SessionId::new(salt, name, raw)))
        });
        Identity { tenant_name: name.to_vec(), tenant, session }
    }

    /// The session, once the body is known as far as it will be: the first of the configured sources that has an id.
    #[must_use]
    pub fn session(&self, config: &Config, body: Option<&BodySessionIds>) -> Option<SessionId> {
        let by_headers = self.session.map_or(usize::MAX, |(rank, _)| rank);
        let earlier = config.session.sources.iter().enumerate().filter(|(rank, _)| *rank < by_headers);
        let mut raw_ids = earlier.filter_map(|(_, source)| match source {
            SessionSource::Body(field) => field_of(body?, *field),
            SessionSource::Header(_) | SessionSource::Cookie(_) => None,
        });
        let salt = config.salt.as_bytes();
        let in_body = raw_ids.next().map(|raw| SessionId::new(salt, &self.tenant_name, raw));
        in_body.or(self.session.map(|(_, id)| id))
    }

    /// The tenant and its budget, where tenants have budgets.
    #[must_use]
    pub fn tenant(&self) -> Option<Tenant> {
        self.tenant
    }
}

fn field_of(body: &BodySessionIds, field: BodySource) -> Option<&[u8]> {
    let id = match field {
        BodySource::MetadataSessionId => &body.metadata_session_id,
        BodySource::Conversation => &body.conversation,
        BodySource::PromptCacheKey => &body.prompt_cache_key,
        BodySource::MetadataUserId => &body.metadata_user_id,
        BodySource::User => &body.user,
    };
    id.as_deref()
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
        Identity::read(config, &headers)
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
    fn tenants_are_kept_apart_and_have_budgets() {
        let config = config(|v| {
            v["session"] = json!({"tenant_header": "x-team"});
            v["tenants"] = json!({"default_usd": "1", "budgets_usd": {"a": "5"}});
        });
        let [a, b] = [b"a", b"b"].map(|team| read(&config, &[("x-session-id", b"s"), ("x-team", team)]));
        assert_ne!(a.session(&config, None), b.session(&config, None));
        let [a, b] = [a, b].map(|identity| identity.tenant().unwrap());
        assert_ne!(a.id, b.id);
        assert_eq!((a.budget.0, b.budget.0), (5_000_000_000, 1_000_000_000));
    }
}
