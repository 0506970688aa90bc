//! The members of a JSON object as the parsers of different languages find them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// How a parser compares names of members. Of several members of one name the last counts everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Byte for byte: Python, JavaScript, C++.
    Exact,
    /// Without regard to case: Go's `encoding/json`.
    AnyCase,
}

/// A JSON object, its members in their order, duplicates included.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// Reads a body; `None` when it is not a JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Members> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).ok()
    }

    /// The members of an object inside.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Members {
        let object = value.and_then(Value::as_object).into_iter().flatten();
        Members(object.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The member that counts; one that is null counts as absent.
    #[must_use]
    pub fn get(&self, name: &str, names: Names) -> Option<&Value> {
        let same = |found: &str| match names {
            Names::Exact => found == name,
            Names::AnyCase => folded(found) == name,
        };
        let found = self.0.iter().rev().find(|(found, _)| same(found)).map(|(_, value)| value);
        found.filter(|value| !value.is_null())
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Go folds two letters beyond ASCII into ASCII: the long s and the Kelvin sign.
fn folded(name: &str) -> String {
    name.to_lowercase().replace('\u{17f}', "s").replace('\u{212a}', "k")
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_counts_and_case_only_where_the_parser_heeds_it() {
        let members = Members::read(br#"{"max_tokens":1,"Max_Tokens":2,"a":null}"#).unwrap();
        assert_eq!(members.get("max_tokens", Names::Exact), Some(&Value::from(1)));
        assert_eq!(members.get("max_tokens", Names::AnyCase), Some(&Value::from(2)));
        assert_eq!(members.get("a", Names::Exact), None);
        let kelvin = Members::read("{\"max_to\u{212a}en\u{17f}\":3}".as_bytes()).unwrap();
        assert_eq!(kelvin.get("max_tokens", Names::AnyCase), Some(&Value::from(3)));
        assert!(Members::read(b"[]").is_none());
    }
}
