//! One LLM request from its head to its record: features → mask → policy → reservation → record.
//!
//! The engine holds what a configuration fixes (models, policies, rules) and no state of its own: budgets live in the
//! [`SharedStore`], a turn's state in its [`Turn`]. The filter calls
//! [`Engine::admit`] when it knows enough of a request and [`Engine::conclude`] exactly once when the stream has ended,
//! however it ended. The trainer calls [`Engine::decide`], the same decision without a ledger.
//!
//! [`admit`] turns a request into a turn or a refusal, [`keep_alive`] renews its lease while the answer comes,
//! [`conclude`] ends the turn.

pub mod admit;
pub mod conclude;
pub mod cover;
pub mod keep_alive;
mod refusals;
pub mod turn;

pub use crate::decide::decision::Decision;
pub use turn::{Admission, Answer, Turn, Upstream};

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::body::input::weight;
use crate::body::members::Members;
use crate::body::text::TextFeatures;
use crate::config::{Config, ConfigError, Environment, ModelConfig, Strategy};
use crate::decide::decision::{Ask, Chooser};
use crate::decide::estimate::{RequestSize, TokenEstimate};
use crate::ledger::books::{Books, Restored};
use crate::ledger::store::SharedStore;
use crate::ledger::{LedgerError, SessionView};
use crate::money::NanoUsd;
use crate::policy::{Policy, PolicyError};
use crate::reply::record::Name;
use crate::request::session_id::SessionId;

/// A configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The fault is in the configuration itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The fault is in one of its policies.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The fault is in its books.
    #[error(
        "plugin configuration, field `books_b64`: found bytes that are no books, expected those of `seqroute deploy`"
    )]
    Books,
}

/// A checked configuration with its policies.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// What the members of a body mean under this configuration.
    members: Arc<Members>,
    /// Names of the models, in their order.
    names: Vec<Name>,
    main: Arm,
    canary: Option<Arm>,
    /// Until they are entered.
    books: Option<Books>,
}

/// One of the two policies that sessions are split between, or the strategy that replaces a policy.
#[derive(Debug)]
struct Arm {
    policy: Option<Policy>,
    id: Name,
    /// Share of the sessions that it decides.
    share: f64,
}

impl Engine {
    /// Reads a configuration that names no environment variable, and opens its policies.
    ///
    /// # Errors
    /// [`EngineError`], one line; nothing of a bad configuration is kept.
    pub fn configure(json: &[u8]) -> Result<Engine, EngineError> {
        Engine::configure_in(json, &|_| None)
    }

    /// Reads a configuration with the environment variables that it names, and opens its policies.
    ///
    /// # Errors
    /// [`EngineError`], one line; nothing of a bad configuration is kept.
    pub fn configure_in(json: &[u8], environment: Environment<'_>) -> Result<Engine, EngineError> {
        let mut config = Config::from_json_in(json, environment)?;
        let (main, canary) = (config.policy_b64.take(), config.policy_canary_b64.take());
        let uses_policy = config.strategy == Strategy::Policy;
        let open = |field: &'static str, text: Option<String>| {
            let text = text.filter(|_| uses_policy);
            text.map(|text| Policy::open(&decode(field, &text)?)).transpose()
        };
        let (main, canary) = (open("policy_b64", main)?, open("policy_canary_b64", canary)?);
        let books = config.books_b64.take().map(|text| open_books(&text)).transpose()?;
        let mut engine = Engine::new(config, main)?;
        engine.books = books;
        if let Some(policy) = canary {
            engine.set_canary(policy)?;
        }
        Ok(engine)
    }

    /// Puts a checked configuration and an opened policy together.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy was trained for other models.
    pub fn new(config: Config, policy: Option<Policy>) -> Result<Engine, PolicyError> {
        if let Some(policy) = &policy {
            policy.check_models(&config.models)?;
        }
        let id = match (&config.strategy, &policy) {
            (Strategy::Always(name), _) => Name::from(format!("always-{name}")),
            (Strategy::BestAffordable, _) => Name::from("best-affordable"),
            (Strategy::Policy, Some(policy)) => Name::from(policy.id()),
            (Strategy::Policy, None) => return Err(PolicyError::Missing),
        };
        let names = config.models.iter().map(|model| Name::from(model.name.as_str())).collect();
        weight::prepare();
        let members = Arc::new(Members::new(&config.members));
        Ok(Engine { config, members, names, main: Arm { policy, id, share: 1.0 }, canary: None, books: None })
    }

    /// Enters the books that the configuration brought into a store, where the store has nothing yet. `None` without
    /// books, and in a shadow, where nothing is charged.
    ///
    /// # Errors
    /// [`LedgerError`] when the host fails.
    pub fn restore(&mut self, store: &impl SharedStore) -> Result<Option<Restored>, LedgerError> {
        let books = self.books.take().filter(|_| !self.config.is_shadow());
        books.map(|books| books.restore(store, &self.config)).transpose()
    }

    /// Lets a second policy decide the share of sessions that the configuration names.
    fn set_canary(&mut self, policy: Policy) -> Result<(), PolicyError> {
        policy.check_models(&self.config.models)?;
        let share = self.config.canary_share;
        self.main.share = 1.0 - share;
        self.canary = Some(Arm { id: Name::from(policy.id()), policy: Some(policy), share });
        Ok(())
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the members of a body mean under this configuration.
    #[must_use]
    pub fn members(&self) -> Arc<Members> {
        self.members.clone()
    }

    /// Id of the policy, or name of the strategy.
    #[must_use]
    pub fn policy_id(&self) -> &str {
        &self.main.id
    }

    /// Id of the policy that is tried on a share of the sessions.
    #[must_use]
    pub fn canary_id(&self) -> Option<&str> {
        self.canary.as_ref().map(|canary| canary.id.as_str())
    }

    /// The policy, where one is configured.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.main.policy.as_ref()
    }

    /// A model by index.
    #[must_use]
    pub fn model(&self, k: usize) -> Option<&ModelConfig> {
        self.config.models.get(k)
    }

    /// Chooses a model for one turn. Pure: the same session, size, text and λ give the same decision.
    #[must_use]
    pub fn decide(
        &self,
        session: &SessionView,
        size: &RequestSize,
        text: &TextFeatures,
        lambda: f32,
    ) -> Decision {
        let ask = Ask { size: *size, text: *text, can_cut: self.config.can_cut_answers(), ..Ask::default() };
        self.main.decide(Chooser { config: &self.config, session, ask: &ask, lambda })
    }

    /// The money that a turn with model `k` reserves where the conversation permits every model, and the output tokens
    /// at which its answer must be cut to cost no more.
    #[must_use]
    pub fn reservation(
        &self,
        k: usize,
        session: &SessionView,
        tokens: &TokenEstimate,
    ) -> (NanoUsd, Option<u64>) {
        let ask = Ask { can_cut: self.config.can_cut_answers(), ..Ask::default() };
        Chooser { config: &self.config, session, ask: &ask, lambda: 0.0 }.reservation(k, tokens)
    }

    /// The arm that decides a session: the same one for all of its turns, by its hash. A request without a session is
    /// decided by the main arm.
    fn arm(&self, session: Option<SessionId>) -> &Arm {
        match (&self.canary, session) {
            (Some(canary), Some(session)) if session.unit_interval() < canary.share => canary,
            _ => &self.main,
        }
    }
}

impl Arm {
    fn decide(&self, chooser: Chooser<'_>) -> Decision {
        chooser.decide(|state| self.policy.as_ref()?.values(state).ok())
    }
}

fn decode(field: &'static str, base64: &str) -> Result<Vec<u8>, PolicyError> {
    BASE64_STANDARD.decode(base64.trim()).map_err(|error| PolicyError::Base64 { field, error })
}

fn open_books(base64: &str) -> Result<Books, EngineError> {
    let bytes = BASE64_STANDARD.decode(base64.trim()).map_err(|_| EngineError::Books)?;
    Books::from_bytes(&bytes).map_err(|_| EngineError::Books)
}

#[cfg(test)]
mod callers_tests;
#[cfg(test)]
mod conclude_tests;
#[cfg(test)]
mod modes_tests;
#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod tests;
