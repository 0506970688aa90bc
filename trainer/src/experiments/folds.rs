//! Splits sessions into folds that share no prompt, to choose settings without test data.
//!
//! Sessions repeat prompts, and an evaluation on training prompts is biased. Prompts are therefore assigned to folds; a
//! session is for validation if all its prompts are in the fold, for training if none is, and left out otherwise.
//! A prompt that always follows the same other one (the second turn of a fixed conversation) is in the same fold as that
//! one.

use std::collections::{BTreeMap, HashMap};

use seqroute_sessions::error::Invalid;
use seqroute_sessions::session::Session;

/// Sessions of one fold, and how many were left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Sessions without a prompt of the fold.
    pub train: Vec<Session>,
    /// Sessions with prompts of the fold alone.
    pub valid: Vec<Session>,
    /// Sessions that mix both.
    pub left_out: usize,
}

/// The split for fold `fold` of `folds`.
///
/// # Errors
/// A turn without a `prompt_id`, or a fold without sessions to train or to validate on.
pub fn fold(sessions: &[Session], fold: usize, folds: usize) -> Result<Split, Invalid> {
    let fold_of = folds_by_prompt(sessions, folds)?;
    let mut split = Split { train: Vec::new(), valid: Vec::new(), left_out: 0 };
    for session in sessions {
        let ids = session.turns.iter().filter_map(|turn| turn.prompt_id.as_deref());
        let inside = ids.filter(|id| fold_of.get(id) == Some(&fold)).count();
        match inside {
            0 => split.train.push(session.clone()),
            all if all == session.turns.len() => split.valid.push(session.clone()),
            _ => split.left_out += 1,
        }
    }
    if split.train.is_empty() || split.valid.is_empty() {
        return Err(Invalid(format!(
            "fold {} of {folds}: found {} sessions to train and {} to validate on, expected some of each: use fewer \
             folds",
            fold + 1,
            split.train.len(),
            split.valid.len()
        )));
    }
    Ok(split)
}

fn folds_by_prompt(sessions: &[Session], folds: usize) -> Result<HashMap<&str, usize>, Invalid> {
    // By prompt: the prompt before it, as long as it is always the same; `None` for one that also comes first.
    let mut before: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for session in sessions {
        let mut last = None;
        for (t, turn) in session.turns.iter().enumerate() {
            let id = turn.prompt_id.as_deref().ok_or_else(|| {
                Invalid(format!(
                    "session `{}`, turn {t}: found no `prompt_id`, folds need one",
                    session.session
                ))
            })?;
            before.entry(id).and_modify(|known| *known = known.filter(|_| *known == last)).or_insert(last);
            last = Some(id);
        }
    }
    let head = |id: &'_ str| {
        // Bounded, although prompts that only follow each other in a cycle cannot start a session.
        let mut at = before.get_key_value(id).map_or("", |(id, _)| *id);
        for _ in 0..before.len() {
            match before.get(at).copied().flatten() {
                Some(earlier) => at = earlier,
                None => break,
            }
        }
        at
    };
    let mut assigned: BTreeMap<&str, usize> = BTreeMap::new();
    before.keys().for_each(|id| {
        let next = assigned.len() % folds.max(1);
        assigned.entry(head(id)).or_insert(next);
    });
    Ok(before.keys().filter_map(|id| Some((*id, *assigned.get(head(id))?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqroute_sessions::simulator::Simulator;

    fn session(name: &str, prompts: &[&str]) -> Session {
        let turn = Simulator::new(1).sessions(1)[0].turns[0].clone();
        let turn = |id: &&str| seqroute_sessions::session::Turn {
            prompt_id: Some((*id).to_owned()),
            ..turn.clone()
        };
        Session { session: name.to_owned(), turns: prompts.iter().map(turn).collect() }
    }

    /// Conversations a, b, c of two turns each, alone and in pairs.
    fn sessions() -> Vec<Session> {
        vec![
            session("a", &["a1", "a2"]),
            session("b", &["b1", "b2"]),
            session("c", &["c1", "c2"]),
            session("ab", &["a1", "a2", "b1", "b2"]),
            session("bc", &["b1", "b2", "c1", "c2"]),
            session("ca", &["c1", "c2", "a1", "a2"]),
        ]
    }

    #[test]
    fn folds_share_no_prompt_and_conversations_stay_whole() {
        let names = |sessions: &[Session]| sessions.iter().map(|s| s.session.clone()).collect::<Vec<_>>();
        for (at, alone) in ["a", "b", "c"].into_iter().enumerate() {
            let split = fold(&sessions(), at, 3).unwrap();
            assert_eq!((names(&split.valid), split.left_out), (vec![alone.to_owned()], 2));
            assert_eq!(split.train.len(), 3);
            assert!(names(&split.train).iter().all(|name| !name.contains(alone)));
        }
    }

    #[test]
    fn a_turn_without_a_prompt_and_an_empty_fold_are_errors() {
        let mut unnamed = sessions();
        unnamed[2].turns[1].prompt_id = None;
        assert!(fold(&unnamed, 0, 3).unwrap_err().0.contains("session `c`, turn 1: found no `prompt_id`"));
        assert!(
            fold(&sessions(), 3, 4).unwrap_err().0.contains("fold 4 of 4: found 6 sessions to train and 0")
        );
    }
}
