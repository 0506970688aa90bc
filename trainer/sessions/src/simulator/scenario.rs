//! Scenarios of the simulator: kinds of sessions, tiers of models, and how difficulty develops.

use seqroute_core::config::{Accepts, ApiName, LimitMember, ModelConfig};
use seqroute_core::prices::Prices;

use super::{GROWTH_PER_TURN, MESSAGE_SPREAD, SPIKE_PROBABILITY_PER_TURN, STOP_PROBABILITY};

/// A kind of session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// Name, and `category` of the turns.
    pub name: &'static str,
    /// Share of the sessions.
    pub share: f64,
    /// System prompt, sent with the first turn, in tokens.
    pub system_tokens: u64,
    /// Median tokens of a message.
    pub message_tokens: f64,
    /// Median tokens of an answer by a model of verbosity 1.
    pub answer_tokens: f64,
    /// Base difficulty.
    pub difficulty: f64,
}

/// The kinds of sessions.
pub const KINDS: [Kind; 3] = [
    Kind {
        name: "chat",
        share: 0.55,
        system_tokens: 150,
        message_tokens: 60.0,
        answer_tokens: 160.0,
        difficulty: -0.6,
    },
    Kind {
        name: "code",
        share: 0.30,
        system_tokens: 900,
        message_tokens: 250.0,
        answer_tokens: 260.0,
        difficulty: 0.3,
    },
    Kind {
        name: "analysis",
        share: 0.15,
        system_tokens: 400,
        message_tokens: 500.0,
        answer_tokens: 300.0,
        difficulty: 0.6,
    },
];

/// A simulated model: name, ability (on the scale of difficulty), verbosity, USD per million input and output tokens
/// in pico-USD per token, expected and upper (99 %) output tokens measured on 20,000 sessions.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) name: &'static str,
    pub(super) ability: f64,
    pub(super) verbosity: f64,
    prices: [u64; 2],
    output_tokens: [u64; 2],
}

const TIERS: [Tier; 3] = [
    Tier {
        name: "small",
        ability: 0.7,
        verbosity: 0.9,
        prices: [150_000, 600_000],
        output_tokens: [234, 767],
    },
    Tier {
        name: "medium",
        ability: 1.5,
        verbosity: 1.0,
        prices: [800_000, 3_200_000],
        output_tokens: [260, 852],
    },
    Tier {
        name: "large",
        ability: 2.3,
        verbosity: 1.1,
        prices: [3_000_000, 15_000_000],
        output_tokens: [286, 937],
    },
];

/// The two models of the paper's experiment: 1 and 10 nano-USD per token, input and output alike.
const PAPER_TIERS: [Tier; 2] = [
    Tier { name: "8b", ability: 0.7, verbosity: 1.0, prices: [1_000, 1_000], output_tokens: [61, 163] },
    Tier { name: "70b", ability: 1.9, verbosity: 1.0, prices: [10_000, 10_000], output_tokens: [61, 163] },
];

/// Sessions of the paper's experiment: short messages, so that 5,000 token units do not pay for four strong turns.
const PAPER_KINDS: [Kind; 1] = [Kind {
    name: "chat",
    share: 1.0,
    system_tokens: 0,
    message_tokens: 25.0,
    answer_tokens: 52.0,
    difficulty: 0.0,
}];

/// Parameters of simulated sessions.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub(super) kinds: &'static [Kind],
    pub(super) tiers: &'static [Tier],
    /// A fixed number of turns; `None` to end sessions at random.
    pub(super) turns: Option<usize>,
    pub(super) stop_probability: f64,
    pub(super) growth_per_turn: f64,
    pub(super) spike_probability_per_turn: f64,
    pub(super) message_spread: f64,
}

impl Scenario {
    /// What the shipped policy is trained on.
    pub const DEFAULT: Scenario = Scenario {
        kinds: &KINDS,
        tiers: &TIERS,
        turns: None,
        stop_probability: STOP_PROBABILITY,
        growth_per_turn: GROWTH_PER_TURN,
        spike_probability_per_turn: SPIKE_PROBABILITY_PER_TURN,
        message_spread: MESSAGE_SPREAD,
    };

    /// Difficulty rises three times as fast: money spent early is worth most later.
    pub const RISING: Scenario = Scenario {
        growth_per_turn: 3.0 * GROWTH_PER_TURN,
        spike_probability_per_turn: 0.08,
        ..Scenario::DEFAULT
    };

    /// Heavy-tailed message lengths (a few hold a whole document), and longer sessions that end less predictably.
    pub const HEAVY_TAIL: Scenario =
        Scenario { message_spread: 1.5, stop_probability: 0.09, ..Scenario::DEFAULT };

    /// Four turns, two models at 1 and 10 nano-USD per token: the shape of the paper's experiment.
    pub const PAPER: Scenario = Scenario {
        kinds: &PAPER_KINDS,
        tiers: &PAPER_TIERS,
        turns: Some(4),
        message_spread: 0.5,
        ..Scenario::DEFAULT
    };

    /// All scenarios by name.
    pub const ALL: [(&str, Scenario); 4] = [
        ("default", Scenario::DEFAULT),
        ("rising-difficulty", Scenario::RISING),
        ("heavy-tail", Scenario::HEAVY_TAIL),
        ("paper", Scenario::PAPER),
    ];

    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scenario> {
        Scenario::ALL.iter().find(|(known, _)| *known == name).map(|(_, scenario)| *scenario)
    }

    /// The scenario's models as in a plugin configuration; clusters are named like the models.
    #[must_use]
    pub fn models(&self) -> Vec<ModelConfig> {
        configured(self.tiers)
    }
}

/// The three tiers as models of a plugin configuration; clusters are named like the tiers.
#[must_use]
pub fn tiers() -> Vec<ModelConfig> {
    configured(&TIERS)
}

fn configured(tiers: &[Tier]) -> Vec<ModelConfig> {
    let tier = |tier: &Tier| ModelConfig {
        name: tier.name.to_owned(),
        cluster: tier.name.to_owned(),
        prices: Prices {
            input_pico_usd_per_token: tier.prices[0],
            output_pico_usd_per_token: tier.prices[1],
            ..Prices::default()
        },
        apis: ApiName::ALL.to_vec(),
        rank: None,
        free: false,
        context_tokens: 128_000,
        tokens_per_second: None,
        expected_output_tokens: tier.output_tokens[0],
        upper_output_tokens: tier.output_tokens[1],
        max_output_tokens: None,
        min_output_tokens: 1,
        image_tokens: ModelConfig::DEFAULT_IMAGE_TOKENS,
        limit_member: LimitMember::default(),
        stream_usage: true,
        accepts: Accepts::default(),
        compat_group: None,
    };
    tiers.iter().map(tier).collect()
}
