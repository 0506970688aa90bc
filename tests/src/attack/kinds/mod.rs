//! The kinds of attack, one file each, in folders by what they aim at.
//!
//! | folder | what the attacker wants |
//! |---|---|
//! | `input` | more input than was reserved for |
//! | `output` | more output than was reserved for |
//! | `unpaid` | an answer whose usage the filter never sees |
//! | `access` | a paid call that is not accounted, or not to the model that was chosen |
//! | `identity` | a budget that is not its own |
//! | `denial` | that others are refused |
//! | `upstream` | a model server that lies or breaks |

mod access;
mod bodies;
mod denial;
mod identity;
mod input;
mod open;
mod output;
mod unpaid;
mod upstream;

use futures_util::future::BoxFuture;

use super::bound::Scope;
use super::gateway::Listener;
use super::world::Campaign;

pub(super) use bodies::{chat, messages, prose};
pub use open::is_open;

/// One kind of attack.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its number in the list of known attacks; `-` for a neighbour that the list does not name.
    pub case: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Whose budget bounds it.
    pub scope: Scope,
    /// Its turns have session ids, so decision records can be told apart.
    pub has_ids: bool,
    /// The listener that it needs.
    pub listener: Listener,
    /// In how many ways it is played: so many campaigns in a row play each once.
    pub variants: usize,
    /// Plays it once.
    pub play: fn(Campaign) -> BoxFuture<'static, ()>,
}

impl Kind {
    /// A kind that plays one session at the main listener.
    const fn new(
        name: &'static str,
        case: &'static str,
        about: &'static str,
        play: fn(Campaign) -> BoxFuture<'static, ()>,
    ) -> Kind {
        Kind {
            name,
            case,
            about,
            scope: Scope::Session,
            has_ids: true,
            listener: Listener::Main,
            variants: 1,
            play,
        }
    }

    /// This kind, bounded by what one caller with many ids may spend.
    const fn of_caller(self) -> Kind {
        Kind { scope: Scope::Caller, ..self }
    }

    /// This kind, played without session ids.
    const fn without_ids(self) -> Kind {
        Kind { has_ids: false, ..self }
    }

    /// This kind, which is played in so many ways ([`Campaign::variant`]).
    const fn in_variants(self, variants: usize) -> Kind {
        Kind { variants, ..self }
    }

    /// This kind, played at another listener.
    const fn at(self, listener: Listener) -> Kind {
        Kind { listener, ..self }
    }
}

/// All kinds.
#[must_use]
pub fn all() -> Vec<Kind> {
    [
        input::KINDS,
        output::KINDS,
        unpaid::KINDS,
        access::KINDS,
        identity::KINDS,
        denial::KINDS,
        upstream::KINDS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_into_a_marker() {
        let kinds = all();
        for (k, kind) in kinds.iter().enumerate() {
            assert!(
                kind.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
                "{}",
                kind.name
            );
            assert!(kinds[..k].iter().all(|other| other.name != kind.name), "{} twice", kind.name);
        }
    }
}
