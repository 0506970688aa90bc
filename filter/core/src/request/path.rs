//! One spelling for each path.
//!
//! Servers disagree on which paths are equal: some decode `%2F` before they route, some ignore case or a slash at the end,
//! some match before a last line feed (`filter/docs/api-facts.md`, section 6). A path that only some of them take for a paid
//! call would pass uncounted. So a path is compared decoded, without the slash at its end and without regard to case, and
//! what goes to the upstream is the configured spelling, never the client's.

use std::borrow::Cow;

/// Longest value of a query's parameter that is passed on.
const MAX_VALUE_BYTES: usize = 64;

/// A path (without its query) decoded once, without the slash at its end.
///
/// `None` for one that servers could read in different ways: with control characters, white space, bytes above ASCII,
/// `\`, `;`, `#`, a `%` that remains, an empty segment, or the segments `.` and `..`.
#[must_use]
pub fn canonical(path: &[u8]) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = if *byte == b'%' { percent_decoded(after)? } else { (*byte, after) };
        if !byte.is_ascii_graphic() || matches!(byte, b'\\' | b';' | b'#' | b'%' | b'?') {
            return None;
        }
        decoded.push(char::from(byte));
        rest = after;
    }
    let path = decoded.strip_suffix('/').unwrap_or(&decoded);
    let mut segments = path.strip_prefix('/')?.split('/');
    segments.all(|segment| !matches!(segment, "" | "." | "..")).then(|| path.to_owned())
}

fn percent_decoded(after: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = after.split_first_chunk::<2>()?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    Some((u8::from_str_radix(digits, 16).ok()?, rest))
}

/// A canonical path that a configured one covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered<'a> {
    /// What stands for `{model}`; `None` where the configured path has no such place.
    pub model: Option<&'a str>,
}

/// Whether a configured path covers a canonical one. `{model}` stands for any text that is not empty, slashes included.
#[must_use]
pub fn covers<'a>(configured: &str, path: &'a str) -> Option<Covered<'a>> {
    let Some((before, after)) = configured.split_once("{model}") else {
        return configured.eq_ignore_ascii_case(path).then_some(Covered { model: None });
    };
    let (head, rest) = path.split_at_checked(before.len())?;
    let (model, tail) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
    let equal = head.eq_ignore_ascii_case(before) && tail.eq_ignore_ascii_case(after);
    (equal && !model.is_empty()).then_some(Covered { model: Some(model) })
}

/// The configured path with a model in its place, percent-encoded (RFC 3986, section 2.3), so that a `/` or `?` in the name
/// stays part of it.
#[must_use]
pub fn with_model(configured: &str, model: Option<&str>) -> String {
    match (configured.split_once("{model}"), model) {
        (Some((before, after)), Some(model)) => format!("{before}{}{after}", encoded(model)),
        _ => configured.to_owned(),
    }
}

/// A name as a segment of a path.
#[must_use]
pub fn encoded(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let text = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Cow::Owned(name.bytes().map(text).collect())
}

/// What of a query is passed on, with its `?`: parameters whose names are listed and whose values are plain. `alt`, which
/// chooses the format of an answer, must ask for one that can be read.
#[must_use]
pub fn forwarded_query(query: &[u8], names: &[String]) -> String {
    let mut kept = String::new();
    for parameter in
        query.split(|byte| *byte == b'&').filter_map(|parameter| std::str::from_utf8(parameter).ok())
    {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let readable = name != "alt" || matches!(value, "sse" | "json");
        let fits = value.len() <= MAX_VALUE_BYTES && value.bytes().all(plain);
        if names.iter().any(|known| known == name) && fits && readable {
            kept.push(if kept.is_empty() { '?' } else { '&' });
            kept.push_str(parameter);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_that_a_server_may_take_for_one_path_are_one() {
        let chat = Some("/v1/chat/completions".to_owned());
        for path in [
            "/v1/chat/completions",
            "/v1/chat/completions/",
            "/v1%2Fchat%2fcompletions",
            "/v1/ch%61t/completions",
        ] {
            assert_eq!(canonical(path.as_bytes()), chat, "{path}");
        }
        let upper = canonical(b"/V1/Chat/Completions").unwrap();
        assert!(covers("/v1/chat/completions", &upper).is_some());
    }

    #[test]
    fn a_path_that_servers_read_in_different_ways_has_no_canonical_form() {
        let paths: [&[u8]; 17] = [
            b"",
            b"v1",
            b"/v1//chat",
            b"//v1",
            b"/v1/./x",
            b"/v1/../x",
            b"/v1/%2e%2e/x",
            b"/v1/x%0a",
            b"/v1/x%00",
            b"/v1/x;a=b",
            b"/v1\\x",
            b"/v1/x#y",
            b"/v1/x%3Fy",
            b"/v1/%252F",
            b"/v1/%",
            b"/v1/%+1",
            b"/v1/\xc3\xa9",
        ];
        for path in paths {
            assert_eq!(canonical(path), None, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn a_configured_path_may_leave_the_model_open() {
        let gemini = "/v1beta/models/{model}:generateContent";
        let model = |path| covers(gemini, path).map(|covered| covered.model.unwrap());
        assert_eq!(model("/v1beta/models/auto:generateContent"), Some("auto"));
        assert_eq!(model("/V1BETA/models/Auto:GenerateContent"), Some("Auto"));
        assert_eq!(model("/v1beta/models/a/b:generateContent"), Some("a/b"));
        assert_eq!(model("/v1beta/models/:generateContent"), None);
        assert_eq!(model("/v1beta/models"), None);
        assert_eq!(covers("/v1/responses", "/v1/responses/resp_1"), None);
    }

    #[test]
    fn only_listed_parameters_with_plain_values_are_passed_on() {
        let names = ["alt", "api-version", "beta"].map(str::to_owned);
        let cases = [
            ("", ""),
            ("alt=sse", "?alt=sse"),
            ("alt=proto&beta=true", "?beta=true"),
            ("key=secret&api-version=2024-10-21&model=large", "?api-version=2024-10-21"),
            ("beta=true%26model=x", ""),
            ("ALT=sse&%61lt=sse&x", ""),
            ("beta", "?beta"),
        ];
        for (query, expected) in cases {
            assert_eq!(forwarded_query(query.as_bytes(), &names), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own_canonical_form(path in "/[ -~]{0,20}|(/|%2[fF]|a|B|\\.|%25|é){0,9}") {
            if let Some(once) = canonical(path.as_bytes()) {
                prop_assert_eq!(canonical(once.as_bytes()), Some(once.clone()));
            }
        }

        #[test]
        fn a_model_put_into_a_path_is_the_model_read_from_it(model in "[A-Za-z0-9:@_~-]{1,9}(/[A-Za-z0-9:@_.-]*[a-z])?") {
            let path = with_model("/model/{model}/converse", Some(&model));
            let canonical = canonical(path.as_bytes()).unwrap();
            prop_assert_eq!(covers("/model/{model}/converse", &canonical).unwrap().model, Some(model.as_str()));
        }
    }
}
