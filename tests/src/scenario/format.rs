//! The scenario file: what is sent, what the model server does, and what is expected.
//!
//! Unknown fields are errors, so a misspelt field fails instead of testing nothing. Text in headers and bodies is
//! UTF-8 except that `headers` values take `\xNN` escapes of YAML for single bytes (Latin-1).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::support::chat::Chat;

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file, without the extension.
    #[serde(skip)]
    pub name: String,
    /// The behaviour that it tests, in one sentence.
    pub about: String,
    /// Changes to the plugin configuration of [`crate::support::settings::plugin`], as a JSON merge patch.
    #[serde(default)]
    pub settings: Value,
    /// Seed of the policy ([`crate::support::policies::arbitrary`]) that decides, instead of `best_affordable`.
    #[serde(default)]
    pub policy: Option<u64>,
    /// Overrides of the listener's route.
    #[serde(default)]
    pub route: Route,
    /// The one world it runs in. Absent: both.
    #[serde(default)]
    pub only: Option<World>,
    /// Why it cannot run in the other; one of [`super::REASONS`].
    #[serde(default)]
    pub why: Option<String>,
    /// Values that the two worlds may differ in; each of [`super::VARYING`].
    #[serde(default)]
    pub varies: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How far the counters must have risen at the end. Counters that are not named are only compared.
    #[serde(default)]
    pub counters: BTreeMap<String, Number>,
}

impl Scenario {
    /// What the scenario expects of its turns, in the order of the steps.
    pub fn expectations(&self) -> impl Iterator<Item = &Expect> {
        self.steps.iter().filter_map(|step| match step {
            Step::Turn(turn) if turn.in_flight.is_none() => Some(&*turn.expect),
            Step::Finish { expect, .. } => Some(&**expect),
            _ => None,
        })
    }

    /// Whether it runs in this world.
    #[must_use]
    pub fn runs_in(&self, world: World) -> bool {
        self.only.is_none_or(|only| only == world)
    }
}

/// Where scenarios run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// The harness.
    Harness,
    /// A real Envoy.
    Envoy,
}

/// Overrides of the shipped route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Time limit of a whole answer.
    pub timeout_ms: Option<u64>,
    /// Whether Envoy retries (at most twice) after a 5xx.
    pub retry_5xx: bool,
}

/// One step of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A request and its answer.
    Turn(Box<Turn>),
    /// The answer of a turn that was left in flight goes on, and the turn ends.
    Finish {
        /// The name of the turn.
        turn: String,
        /// What is expected of it.
        #[serde(default)]
        expect: Box<Expect>,
    },
    /// Time passes: on the virtual clock of the harness, in real time with Envoy.
    WaitMs(u64),
    /// The operator deploys another configuration; a merge patch to the one in force.
    Update {
        /// The patch.
        settings: Value,
        /// Whether the filter must refuse it, so that the previous one stays in force.
        #[serde(default)]
        refused: bool,
    },
    /// The VM of worker 0 crashes in the next callback it runs.
    Crash,
    /// Every write of worker 0 to shared data conflicts with another one, until the ledger gives up. Other failures of
    /// shared data do not occur in Envoy, and end the VM in the SDK.
    SharedDataConflicts,
}

/// A request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Leaves the turn in flight under this name once the model server has the request; see [`Step::Finish`].
    #[serde(default)]
    pub in_flight: Option<String>,
    /// The worker that handles it in the harness. In Envoy the kernel chooses.
    #[serde(default)]
    pub worker: usize,
    /// The session, sent as `x-session-id` with the scenario's name before it. Absent: none is sent.
    #[serde(default)]
    pub session: Option<String>,
    /// `x-seqroute-budget-usd`.
    #[serde(default)]
    pub budget_usd: Option<String>,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The path.
    #[serde(default = "chat_path")]
    pub path: String,
    /// Further headers. `{scenario}` stands for the scenario's name.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body: a chat of given size.
    #[serde(default)]
    pub chat: Option<Chat>,
    /// The body: this text.
    #[serde(default)]
    pub text: Option<String>,
    /// Where the body is cut into chunks, as offsets.
    #[serde(default)]
    pub cuts: Vec<usize>,
    /// Sends the body in HTTP/1.1 chunks and without `content-length`.
    #[serde(default)]
    pub chunked: bool,
    /// What the model server does; the last entry stands for all further attempts.
    #[serde(default)]
    pub upstream: Vec<Upstream>,
    /// When the client leaves.
    #[serde(default)]
    pub client_leaves: Option<Leave>,
    /// What is expected of it.
    #[serde(default)]
    pub expect: Box<Expect>,
}

fn post() -> String {
    "POST".to_owned()
}

fn chat_path() -> String {
    "/v1/chat/completions".to_owned()
}

/// When a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// Once a model server has its request, before the answer begins.
    BeforeAnswer,
    /// After this many bytes of the answer's body.
    AfterBytes(usize),
}

/// What a model server does with one request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// A chat completion as JSON with this usage.
    #[serde(default)]
    pub json: Option<Usage>,
    /// A chat completion as server-sent events with this usage.
    #[serde(default)]
    pub sse: Option<Sse>,
    /// The body verbatim, one entry per piece.
    #[serde(default)]
    pub pieces: Vec<String>,
    /// `content-type`; by default JSON, or events where the body is `sse`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Whether the body is compressed.
    #[serde(default)]
    pub gzip: bool,
    /// Where the body is cut, as offsets into the whole of it.
    #[serde(default)]
    pub cuts: Vec<usize>,
    /// How it ends.
    #[serde(default)]
    pub ends: End,
}

fn ok() -> u16 {
    200
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Completely.
    #[default]
    Whole,
    /// With a reset instead of an answer.
    ResetBeforeHeaders,
    /// With a reset after the body's pieces.
    ResetAfterBody,
    /// Never; not even its headers are sent.
    NeverBegins,
    /// Never, after the body's pieces.
    NeverEnds,
}

/// Tokens that an answer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Prompt tokens; absent: no usage is reported.
    #[serde(default)]
    pub prompt: Option<u64>,
    /// Cached prompt tokens.
    #[serde(default)]
    pub cached: u64,
    /// Output tokens.
    #[serde(default)]
    pub output: u64,
}

/// A stream of server-sent events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sse {
    /// Events with content.
    pub events: usize,
    /// Usage in the last event but one.
    pub usage: Usage,
}

/// An exact number, or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// Exactly this.
    Exactly(u64),
    /// From the first to the second, both included.
    Between(u64, u64),
}

impl Number {
    /// Whether `found` is what was expected.
    #[must_use]
    pub fn accepts(self, found: u64) -> bool {
        match self {
            Number::Exactly(number) => found == number,
            Number::Between(least, most) => (least..=most).contains(&found),
        }
    }

    /// The least that is accepted.
    #[must_use]
    pub fn least(self) -> u64 {
        match self {
            Number::Exactly(least) | Number::Between(least, _) => least,
        }
    }
}

/// What is expected of a turn. Fields that are absent are not checked, but the two worlds must still agree on them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The row of the outcome table that this turn is an example of ([`crate::outcome_table`]).
    pub row: Option<String>,
    /// Status the client got; 0: it got none.
    pub status: Option<u16>,
    /// Model server that got the request; `none`: no server did.
    pub served_by: Option<String>,
    /// How often the request was sent to a server.
    pub attempts: Option<usize>,
    /// The path that the server got, with its query.
    pub upstream_path: Option<String>,
    /// `model` in the body the server got.
    pub upstream_model: Option<String>,
    /// The body the server got, whole.
    pub upstream_body: Option<String>,
    /// Headers the client got.
    pub headers: BTreeMap<String, String>,
    /// Headers the client must not get.
    pub no_headers: Vec<String>,
    /// Headers the server got.
    pub upstream_headers: BTreeMap<String, String>,
    /// Headers the server must not get.
    pub no_upstream_headers: Vec<String>,
    /// The body the client got, whole.
    pub client_body: Option<String>,
    /// Values in the client's body, by JSON pointer.
    pub body: BTreeMap<String, Value>,
    /// Whether the client got the end of the answer.
    pub complete: Option<bool>,
    /// Whether there is a decision record; absent: yes.
    pub record: Option<bool>,
    /// `outcome` of the record.
    pub outcome: Option<String>,
    /// `reason` of the record.
    pub reason: Option<String>,
    /// `chosen` of the record.
    pub chosen: Option<String>,
    /// `charged_nano_usd` of the record.
    pub charged: Option<Number>,
    /// `reserved_nano_usd` of the record.
    pub reserved: Option<Number>,
    /// `spent_nano_usd` of the record.
    pub spent: Option<Number>,
    /// `outstanding_nano_usd` of the record.
    pub outstanding: Option<Number>,
    /// `turn` of the record.
    pub turn: Option<u64>,
    /// Any other values of the record, by JSON pointer.
    pub fields: BTreeMap<String, Value>,
}
