//! The marker in a prompt's text: which campaign pays, and how the model is to answer.
//!
//! The filter removes or hashes ids, so the model servers cannot know a session by its headers. A prompt can also ask
//! a real model for a long answer or for long thought; the marker asks for it in numbers. It consists of characters
//! that JSON and URLs leave as they are: `~~m.learned_ratio-12.out_4000.usage_late.m~~`.

use std::fmt;

use super::server::flavour::{self, Flavour};

/// Bytes before and after a marker.
const OPEN: &[u8] = b"~~m.";
const CLOSE: &[u8] = b".m~~";
/// A longer marker is none.
const MAX_BYTES: usize = 400;

/// How an answer reports its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// As it is.
    #[default]
    Exact,
    /// Not at all.
    Missing,
    /// 10^15 tokens.
    Absurd,
    /// Below zero.
    Negative,
    /// All zero.
    Zero,
    /// After the word that ends a stream.
    Late,
    /// As it is, then again with one token each.
    Repeated,
    /// Numbers as strings.
    Strings,
    /// As it is, and before that far too small inside the text of the answer.
    InText,
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// A TCP reset in the middle.
    Reset,
    /// Silence in the middle, then a reset.
    Stall,
    /// A stream that calls itself JSON, or JSON that calls itself a stream.
    OtherType,
    /// No content type.
    NoType,
    /// Status 206 with a whole paid answer.
    Status206,
    /// Status 500 with a whole paid answer.
    Status500,
}

const REPORTS: [(&str, Report); 9] = [
    ("exact", Report::Exact),
    ("missing", Report::Missing),
    ("absurd", Report::Absurd),
    ("negative", Report::Negative),
    ("zero", Report::Zero),
    ("late", Report::Late),
    ("repeated", Report::Repeated),
    ("strings", Report::Strings),
    ("intext", Report::InText),
];
const FAULTS: [(&str, Fault); 7] = [
    ("none", Fault::None),
    ("reset", Fault::Reset),
    ("stall", Fault::Stall),
    ("othertype", Fault::OtherType),
    ("notype", Fault::NoType),
    ("status206", Fault::Status206),
    ("status500", Fault::Status500),
];

/// A marker, written into a prompt and read back by a model server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Who pays: a campaign, or an honest session.
    pub account: String,
    /// The server that stands behind the gateway for this turn.
    pub flavour: Flavour,
    /// Output tokens that the model would give without a limit, those of `hidden` included.
    pub out: u64,
    /// Output tokens of thought that no text shows.
    pub hidden: u64,
    /// Milliseconds before the answer's first byte.
    pub delay_ms: u64,
    /// Milliseconds that a whole stream takes after its first byte.
    pub spread_ms: u64,
    /// Tokens behind each reference to a file, a stored prompt or cached content.
    pub reference: u64,
    /// How usage is reported.
    pub report: Report,
    /// What goes wrong.
    pub fault: Fault,
}

impl Marker {
    /// An answer of 40 tokens, at once and whole.
    #[must_use]
    pub fn new(account: impl Into<String>) -> Marker {
        Marker {
            account: account.into(),
            flavour: Flavour::OpenAi,
            out: 40,
            hidden: 0,
            delay_ms: 0,
            spread_ms: 0,
            reference: 100_000,
            report: Report::Exact,
            fault: Fault::None,
        }
    }

    /// For a turn at this server.
    #[must_use]
    pub fn at(self, flavour: Flavour) -> Marker {
        Marker { flavour, ..self }
    }

    /// With an answer of this length where nothing limits it.
    #[must_use]
    pub fn out(self, out: u64) -> Marker {
        Marker { out, ..self }
    }

    /// The first marker in these bytes.
    #[must_use]
    pub fn find(bytes: &[u8]) -> Option<Marker> {
        let rest = bytes.get(memchr::memmem::find(bytes, OPEN)? + OPEN.len()..)?;
        let rest = &rest[..rest.len().min(MAX_BYTES)];
        let text = std::str::from_utf8(rest.get(..memchr::memmem::find(rest, CLOSE)?)?).ok()?;
        let mut parts = text.split('.');
        let mut marker = Marker::new(parts.next()?);
        for (name, value) in parts.filter_map(|part| part.split_once('_')) {
            let number = value.parse().unwrap_or(0);
            match name {
                "at" => marker.flavour = flavour::named(value).unwrap_or(Flavour::OpenAi),
                "out" => marker.out = number,
                "hidden" => marker.hidden = number,
                "delay" => marker.delay_ms = number,
                "spread" => marker.spread_ms = number,
                "reference" => marker.reference = number,
                "usage" => marker.report = named(&REPORTS, value),
                "fault" => marker.fault = named(&FAULTS, value),
                _ => {}
            }
        }
        Some(marker)
    }
}

fn named<T: Copy + Default>(all: &[(&str, T)], name: &str) -> T {
    all.iter().find(|(known, _)| *known == name).map_or_else(T::default, |(_, value)| *value)
}

fn name_of<T: PartialEq>(all: &[(&'static str, T)], value: &T) -> &'static str {
    all.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Marker { account, flavour, out, hidden, delay_ms, spread_ms, reference, report, fault } = self;
        let (report, fault) = (name_of(&REPORTS, report), name_of(&FAULTS, fault));
        write!(
            f,
            "~~m.{account}.at_{}.out_{out}.hidden_{hidden}.delay_{delay_ms}.spread_{spread_ms}",
            flavour.name()
        )?;
        write!(f, ".reference_{reference}.usage_{report}.fault_{fault}.m~~")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_in_the_middle_of_a_body() {
        let marker = Marker {
            flavour: Flavour::LlamaCpp,
            out: 4000,
            hidden: 7,
            delay_ms: 1,
            spread_ms: 2,
            reference: 3,
            report: Report::Late,
            fault: Fault::Status206,
            ..Marker::new("learned_ratio-12")
        };
        let body = format!(r#"{{"messages":[{{"content":"Hello {marker} there"}}]}}"#);
        assert_eq!(Marker::find(body.as_bytes()), Some(marker));
        assert_eq!(Marker::find(b"~~m.without-an-end"), None);
    }
}
