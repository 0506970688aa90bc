//! What a conversation permits, before any policy is asked.
//!
//! Some requests belong to the model that answered last: one with the results of tools that this model called (an open tool
//! loop), one that refers to a response stored at its provider (`previous_response_id`), one that carries thinking that this
//! model signed or other state of its provider ([`crate::body::messages`] has the table), one that refers to files that the
//! provider keeps. They stay with it, or within its `compat_group`, whose models accept each other's conversations. If none of these is affordable, the request is refused: another model would
//! answer with an error or with nonsense, and the client could not see why. A conversation of which a part was not read when
//! it was decided on may hold any of these there, so it stays as well.
//!
//! A lock belongs to a conversation, not to its session: side calls and sub-agents may go anywhere. Where a locked
//! conversation is not known (its beginning was cut off, or it was forgotten), it goes to the model of the one that
//! resembles it most, or was the last. A session whose last model is not known (its first turn here, or forgotten) is not
//! locked.

use crate::MAX_MODELS;
use crate::body::facts::BodyFacts;
use crate::config::ModelConfig;
use crate::ledger::SessionView;

/// What a request needs of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// It can only be answered by the model of the last turn, or its group.
    pub same_model: bool,
    /// It refers to files that the provider of the last turn, if there was one, keeps.
    pub same_provider: bool,
}

impl Needs {
    /// What a body shows as far as it was read.
    #[must_use]
    pub fn of(body: &BodyFacts) -> Needs {
        Needs {
            same_model: body.open_tool_loop
                || body.previous_response_id
                || body.provider_state
                || !body.read.complete,
            same_provider: body.kept_files,
        }
    }
}

/// Which models a request may go to, money aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    models: [bool; MAX_MODELS],
    /// The conversation is locked to its last model or that model's group.
    pub locked: bool,
}

impl Permitted {
    /// All models.
    #[must_use]
    pub fn all() -> Permitted {
        Permitted { models: [true; MAX_MODELS], locked: false }
    }

    /// The models that can continue the conversation.
    #[must_use]
    pub fn new(models: &[ModelConfig], needs: Needs, session: &SessionView) -> Permitted {
        let last = match needs {
            Needs { same_model: true, .. } => session.last_model.or(session.likely_model),
            // The first turn of a conversation may bring a file, and says nothing of its provider.
            Needs { same_provider: true, .. } => session.last_model,
            _ => None,
        };
        let last = last.map(usize::from);
        let last = last.and_then(|last| Some((last, models.get(last)?)));
        let mut permitted = Permitted { models: [false; MAX_MODELS], locked: last.is_some() };
        for (k, (permitted, model)) in permitted.models.iter_mut().zip(models).enumerate() {
            let same = last.is_none_or(|(last, last_model)| {
                let group = model.compat_group.is_some() && model.compat_group == last_model.compat_group;
                k == last || group
            });
            *permitted = same;
        }
        permitted
    }

    /// Whether model `k` is permitted.
    #[must_use]
    pub fn allows(&self, k: usize) -> bool {
        self.models.get(k).copied().unwrap_or(false)
    }

    /// Whether any of the first `models` is.
    #[must_use]
    pub fn any(&self, models: usize) -> bool {
        (0..models).any(|k| self.allows(k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::input::ReadInput;
    use crate::config::{Config, tests::example};
    use serde_json::json;

    fn models() -> Vec<ModelConfig> {
        let mut value = example();
        let mut third = value["models"][1].clone();
        third["name"] = json!("large-2");
        value["models"].as_array_mut().unwrap().push(third);
        value["models"][1]["compat_group"] = json!("family");
        value["models"][2]["compat_group"] = json!("family");
        Config::from_json(value.to_string().as_bytes()).unwrap().models
    }

    fn permitted(needs: Needs, last_model: Option<u8>) -> [bool; 3] {
        let session = SessionView { last_model, turns: 1, ..SessionView::default() };
        let permitted = Permitted::new(&models(), needs, &session);
        [0, 1, 2].map(|k| permitted.allows(k))
    }

    #[test]
    fn a_locked_conversation_stays_with_its_model_or_its_group() {
        let locked = Needs { same_model: true, ..Needs::default() };
        assert_eq!(permitted(locked, Some(0)), [true, false, false]);
        assert_eq!(permitted(locked, Some(2)), [false, true, true]);
        assert_eq!(permitted(locked, None), [true, true, true]);
        assert_eq!(permitted(Needs::default(), Some(0)), [true, true, true]);
    }

    #[test]
    fn tool_loops_stored_responses_and_signed_thinking_lock_a_conversation() {
        let open_tool_loop = BodyFacts { open_tool_loop: true, ..BodyFacts::default() };
        let previous_response_id = BodyFacts { previous_response_id: true, ..BodyFacts::default() };
        let provider_state = BodyFacts { provider_state: true, ..BodyFacts::default() };
        for body in [open_tool_loop, previous_response_id, provider_state] {
            assert!(Needs::of(&body).same_model, "{body:?}");
        }
        let unread = ReadInput { complete: false, ..ReadInput::default() };
        assert!(
            Needs::of(&BodyFacts { read: unread, ..BodyFacts::default() }).same_model,
            "it may hold any of them"
        );
        let read = ReadInput { complete: true, ..ReadInput::default() };
        assert_eq!(Needs::of(&BodyFacts { read, ..BodyFacts::default() }), Needs::default());
    }

    #[test]
    fn a_locked_conversation_that_is_not_known_goes_where_it_most_likely_was() {
        let session = SessionView { likely_model: Some(0), turns: 1, ..SessionView::default() };
        let of = |needs| {
            let permitted = Permitted::new(&models(), needs, &session);
            [0, 1, 2].map(|k| permitted.allows(k))
        };
        assert_eq!(of(Needs { same_model: true, ..Needs::default() }), [true, false, false]);
        assert_eq!(of(Needs { same_provider: true, ..Needs::default() }), [true; 3]);
        assert_eq!(of(Needs::default()), [true; 3]);
        let files = Needs { same_provider: true, ..Needs::default() };
        assert_eq!(permitted(files, Some(2)), [false, true, true]);
    }
}
