//! A case that was played: what its script says, what was billed, and what was charged.

use std::collections::BTreeMap;

use seqroute_core::reply::record::{DecisionRecord, Outcome};
use seqroute_core::request::session_id::SessionId;

use super::findings;
use super::scripts::Case;
use super::server::Account;

/// A case, its bill and its charge.
#[derive(Clone, Debug)]
pub struct Played {
    /// What its script says.
    pub case: Case,
    /// nano-USD that the model servers ask for.
    pub billed: u64,
    /// nano-USD that the decision records charge.
    pub charged: u64,
    /// Answers that were billed.
    answers: u64,
    /// The models that gave them.
    models: Vec<&'static str>,
    /// Turns that were sent to a model and not refunded.
    settled: u64,
    /// What the model servers refused.
    provider_refusals: Vec<String>,
    /// Why the filter refused.
    gateway_refusals: Vec<String>,
}

/// Whether a case is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not, which is known.
    Known(&'static str),
    /// It is not.
    Wrong(String),
}

impl Played {
    /// Brings together what belongs to a case.
    #[must_use]
    pub fn new(
        case: Case,
        bill: &BTreeMap<String, Account>,
        charged: &BTreeMap<String, Vec<DecisionRecord>>,
        salt: &str,
    ) -> Played {
        let id = SessionId::new(salt.as_bytes(), b"", case.session.as_bytes()).to_string();
        let account = bill.get(&case.session).cloned().unwrap_or_default();
        let records = charged.get(&id).map(Vec::as_slice).unwrap_or_default();
        let refused = records.iter().filter(|record| record.outcome == Outcome::Refused);
        let paid = |record: &&DecisionRecord| matches!(record.outcome, Outcome::Settled | Outcome::Estimated);
        Played {
            billed: account.billed,
            charged: records.iter().map(|record| record.charged_nano_usd.0).sum(),
            answers: account.answers,
            models: account.used.iter().map(|(model, _)| *model).collect(),
            settled: records.iter().filter(paid).count() as u64,
            provider_refusals: account.refused,
            gateway_refusals: refused.map(|record| record.reason.as_str().to_owned()).collect(),
            case,
        }
    }

    /// Every record that must come has come, and says what was billed.
    #[must_use]
    pub fn is_accounted(&self) -> bool {
        let exact = self.charged == self.billed || !self.case.whole && self.charged >= self.billed;
        exact && self.settled == self.answers && self.gateway_refusals.len() == self.case.gateway_refusals
    }

    /// No record is waited for: all have come, or what is known to be wrong will not come right.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_accounted() || findings::of(&self.case.session).is_some()
    }

    /// What is wrong.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.case.error.iter().cloned().collect();
        if self.provider_refusals.len() != self.case.provider_refusals {
            faults.push(format!("the model server refused: {}", self.provider_refusals.join("; ")));
        }
        if self.gateway_refusals.len() != self.case.gateway_refusals {
            faults.push(format!("the filter refused: {}", self.gateway_refusals.join("; ")));
        }
        if !faults.is_empty() && !self.models.is_empty() {
            faults.push(format!("answered by {}", self.models.join(", ")));
        }
        if !self.is_accounted() {
            faults.push(format!(
                "charged {} nano-USD in {} turns, billed {} in {}",
                self.charged, self.settled, self.billed, self.answers
            ));
        }
        faults
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let faults = self.faults();
        match findings::of(&self.case.session) {
            None if faults.is_empty() => Verdict::Right,
            None => Verdict::Wrong(faults.join("; ")),
            Some(what) if !faults.is_empty() => Verdict::Known(what),
            Some(_) => Verdict::Wrong("is right, and still listed in tests/src/sdk/findings.rs".to_owned()),
        }
    }
}
