//! The guard, money kept for later turns, measured on sessions: `guard.remaining_turns` of the plugin configuration.
//!
//! Entry t is a quantile of the number of turns that follow turn t, among the sessions that have a turn t. With the
//! quantile 0.9, nine of ten sessions have no more turns than the guard pays for at the cheapest model.

use seqroute_core::config::GuardConfig;
use seqroute_core::policy::{Policy, PolicyError};
use serde::{Deserialize, Serialize};

use crate::session::Session;

/// Longest table that the core accepts.
const MAX_ENTRIES: usize = 256;
/// Least number of sessions with a turn t for an entry of its own; later turns share the last entry.
const MIN_SESSIONS: usize = 20;

/// Settings of the guard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSettings {
    /// Share of the sessions whose remaining turns the guard pays for; 0, the default here and in the plugin
    /// configuration, for no guard.
    pub quantile: f64,
}

/// The guard that a policy was trained with, from its manifest; the default without one.
///
/// # Errors
/// The manifest's entry is not a guard.
pub fn of(policy: &Policy) -> Result<GuardConfig, PolicyError> {
    let Some(value) = policy.manifest().learner.get("guard") else { return Ok(GuardConfig::default()) };
    GuardConfig::deserialize(value)
        .map_err(|error| PolicyError::Manifest(format!("manifest `learner.guard`: {error}")))
}

/// The table for these sessions; empty if `quantile` is 0 or there are too few sessions.
#[must_use]
pub fn measure(sessions: &[Session], settings: &GuardSettings) -> GuardConfig {
    let mut lengths: Vec<usize> = sessions.iter().map(|session| session.turns.len()).collect();
    lengths.sort_unstable();
    let mut guard = GuardConfig::default();
    if settings.quantile <= 0.0 {
        return guard;
    }
    for t in 0..MAX_ENTRIES {
        let longer = &lengths[lengths.partition_point(|length| *length <= t)..];
        if longer.len() < MIN_SESSIONS {
            break;
        }
        let at = ((settings.quantile * longer.len() as f64).ceil() as usize).clamp(1, longer.len()) - 1;
        guard.remaining_turns.push((longer[at] - t - 1) as f32);
    }
    guard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Simulator;

    /// Twenty sessions of each length.
    fn sessions(lengths: &[usize]) -> Vec<Session> {
        let drawn = Simulator::new(1).sessions(1);
        let of = |length: &usize| Session {
            session: length.to_string(),
            turns: drawn[0].turns[..1].iter().cycle().take(*length).cloned().collect(),
        };
        lengths.iter().flat_map(|length| vec![of(length); 20]).collect()
    }

    fn table(lengths: &[usize], quantile: f64) -> Vec<f32> {
        measure(&sessions(lengths), &GuardSettings { quantile }).remaining_turns
    }

    #[test]
    fn an_entry_is_the_quantile_of_the_turns_that_follow() {
        assert_eq!(table(&[1, 2, 4, 10], 0.5), [1.0, 2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
        assert_eq!(table(&[1, 2, 4, 10], 0.75)[..2], [3.0, 8.0]);
        assert_eq!(table(&[1, 2, 4, 10], 1.0)[0], 9.0);
    }

    #[test]
    fn without_a_quantile_or_with_few_sessions_there_is_no_guard() {
        assert!(table(&[1, 2], 0.0).is_empty());
        assert!(measure(&sessions(&[3])[..19], &GuardSettings { quantile: 0.9 }).remaining_turns.is_empty());
    }
}
