//! The scenario file: what is sent, what the model server does, and what must come of it.
//!
//! Unknown fields are errors, so a typing error fails instead of testing nothing. Text in headers and bodies is
//! UTF-8 except that `headers` values take `\xNN` escapes of YAML for single bytes (Latin-1).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file, without the extension.
    #[serde(skip)]
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// The row of the outcome table it covers, if it is one.
    #[serde(default)]
    pub covers: Option<String>,
    /// Changes to the plugin configuration of [`crate::support::settings::plugin`], as a JSON merge patch.
    #[serde(default)]
    pub settings: Value,
    /// Seed of the policy ([`crate::support::policies::arbitrary`]) that decides, instead of `best_affordable`.
    #[serde(default)]
    pub policy: Option<u64>,
    /// How the listener's route differs from the shipped one.
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
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What the counters must have gone up by in the end. A counter that is not named is not looked at.
    #[serde(default)]
    pub counters: BTreeMap<String, Number>,
}

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// The harness.
    Harness,
    /// A real Envoy.
    Envoy,
}

/// How the listener's route differs from the shipped one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// How long an answer may take.
    pub timeout_ms: Option<u64>,
    /// Whether Envoy tries again (at most twice) after a 5xx.
    pub retry_5xx: bool,
}

/// One thing that happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A request and its answer.
    Turn(Box<Turn>),
    /// The answer of a turn that was left in flight goes on, and the turn ends.
    Finish {
        /// The name of the turn.
        turn: String,
        /// What must come of it.
        #[serde(default)]
        expect: Box<Expect>,
    },
    /// Time passes: on the virtual clock, or really.
    WaitMs(u64),
    /// The operator deploys another configuration; a merge patch to the one in force.
    Update {
        /// The patch.
        settings: Value,
        /// Whether the filter refuses it, so that the old one keeps serving.
        #[serde(default)]
        refused: bool,
    },
    /// The VM of a worker crashes in the next callback it runs.
    Crash,
}

/// A request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Leaves the turn in flight under this name once the model server has the request; see [`Step::Finish`].
    #[serde(default)]
    pub in_flight: Option<String>,
    /// The worker that gets it, in the harness. In Envoy the kernel chooses.
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
    /// When the client goes away.
    #[serde(default)]
    pub client_leaves: Option<Leave>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Box<Expect>,
}

fn post() -> String {
    "POST".to_owned()
}

fn chat_path() -> String {
    "/v1/chat/completions".to_owned()
}

/// A chat request of an exact size.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Bytes of the whole body.
    #[serde(default = "chat_bytes")]
    pub bytes: usize,
    /// Its `model`.
    #[serde(default = "auto")]
    pub model: String,
    /// Its `max_tokens`.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Whether it asks for a stream (with `include_usage`).
    #[serde(default)]
    pub stream: bool,
    /// Further members, as JSON text that ends with a comma.
    #[serde(default)]
    pub extra: String,
}

fn chat_bytes() -> usize {
    400
}

fn auto() -> String {
    "auto".to_owned()
}

/// When the client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// After its request is with the model server, before anything of the answer.
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
    /// The body as it stands, one entry per piece.
    #[serde(default)]
    pub pieces: Vec<String>,
    /// `content-type`; by default what fits the body.
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
    /// In order.
    #[default]
    Whole,
    /// By a reset instead of any answer.
    ResetBeforeHeaders,
    /// By a reset after the body's pieces.
    ResetAfterBody,
    /// Never, and nothing of it comes.
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

/// A number that is known, or known to lie between two.
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
}

/// What must come of a turn. What is absent is not looked at, but the two worlds must still agree on it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Status the client got; 0: none came.
    pub status: Option<u16>,
    /// Model server that got the request; `none`: no server did.
    pub served_by: Option<String>,
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
    /// Headers the server must not get.
    pub no_upstream_headers: Vec<String>,
    /// The body the client got, whole.
    pub client_body: Option<String>,
    /// Values in the client's body, by JSON pointer.
    pub body: BTreeMap<String, Value>,
    /// Whether the client got the end of the answer.
    pub complete: Option<bool>,
    /// Whether there is a decision record; absent: yes, if any field of one is expected.
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
