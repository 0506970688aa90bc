//! What the fuzz targets share: how an input is read, and how it is cut.
//!
//! An input is a byte that chooses among variants, a byte that seeds the cuts, and the text itself; so a corpus file
//! stays readable, and a crash can be reduced by hand.

#[path = "../../core/tests/readers/mod.rs"]
pub mod readers;

use seqroute_core::request::api::Api;

/// The provider APIs, in the order in which a choice picks them.
pub const APIS: [Api; 5] = [
    Api::OpenAiChat,
    Api::OpenAiResponses,
    Api::AnthropicMessages,
    Api::GeminiGenerate,
    Api::BedrockConverse,
];

/// An input of a target.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Picks a variant.
    pub choice: usize,
    seed: u8,
    /// What is parsed.
    pub text: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads an input; `None` where there is not even a choice.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let [choice, seed, text @ ..] = data else { return None };
        Some(Input { choice: usize::from(*choice), seed: *seed, text })
    }

    /// One of several variants.
    #[must_use]
    pub fn pick<T: Copy>(&self, variants: &[T]) -> T {
        variants[self.choice % variants.len()]
    }

    /// The text in pieces of changing sizes: 1 to 3 bytes for an even seed, up to 64 for an odd one.
    #[must_use]
    pub fn pieces(&self) -> Vec<&'a [u8]> {
        let most = if self.seed.is_multiple_of(2) { 3 } else { 64 };
        let (mut state, mut rest, mut pieces) = (u32::from(self.seed), self.text, Vec::new());
        while !rest.is_empty() {
            // The numbers of a linear congruence (Knuth's MMIX multiplier cut to 32 bits) are random enough for cuts.
            state = state.wrapping_mul(0x4C95_7F2D).wrapping_add(1);
            let size = (state >> 16) as usize % most + 1;
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// A configuration that trusts every header, cuts answers, keeps tenants and looks for sessions everywhere.
#[must_use]
pub fn open_minded_config() -> serde_json::Value {
    let mut config: serde_json::Value = serde_json::from_slice(include_bytes!("../../../envoy/plugin.json"))
        .expect("the shipped configuration");
    config["strategy"] = "best_affordable".into();
    config["budget"]["trust_header"] = true.into();
    config["budget"]["max_usd"] = "1000".into();
    config["lambda"]["trust_header"] = true.into();
    config["difficulty"] = serde_json::json!({"header": "x-difficulty", "trust_header": true});
    config["debug"] = serde_json::json!({"header": "x-debug", "trust_header": true});
    config["tenants"] = serde_json::json!({"default_usd": "1", "default_per_name": true});
    config["session"]["tenant_header"] = "x-tenant".into();
    config["session"]["sources"] = serde_json::json!([
        {"header": "x-session-id"}, {"cookie": "sid"}, {"body": "metadata.session_id"}, {"body": "conversation"},
        {"body": "prompt_cache_key"}, {"body": "metadata.user_id"}, {"body": "user"},
    ]);
    config
}
