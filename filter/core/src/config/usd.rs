//! Amounts of money as an operator writes them: decimal USD in a string, parsed once, when the configuration is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::{MoneyError, NanoUsd};

/// An amount in its written form.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Usd(NanoUsd);

impl TryFrom<String> for Usd {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Usd, MoneyError> {
        NanoUsd::parse_usd(&text).map(Usd)
    }
}

impl From<Usd> for String {
    fn from(usd: Usd) -> String {
        usd.0.to_string()
    }
}

pub(super) fn serialize<S: Serializer>(amount: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
    Usd(*amount).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
    Usd::deserialize(deserializer).map(|usd| usd.0)
}

/// An amount that may be absent.
pub(super) mod optional {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(
        amount: &Option<NanoUsd>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(Usd).serialize(to)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NanoUsd>, D::Error> {
        Ok(Option::<Usd>::deserialize(from)?.map(|usd| usd.0))
    }
}

/// Amounts by name.
pub(super) mod by_name {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(
        amounts: &BTreeMap<String, NanoUsd>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(amounts.iter().map(|(name, amount)| (name, Usd(*amount))))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, NanoUsd>, D::Error> {
        let amounts = BTreeMap::<String, Usd>::deserialize(from)?;
        Ok(amounts.into_iter().map(|(name, usd)| (name, usd.0)).collect())
    }
}
