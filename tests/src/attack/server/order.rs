//! A paid turn: what it is billed, and what its usage says.

use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_core::prices::Prices;
use seqroute_core::usage::Usage;
use serde_json::{Value, json};

use super::http::Received;
use super::members::Members;
use super::paths::{Call, call};
use super::reading::{PREMIUM, Reading, read};
use super::tokens;
use crate::attack::marker::{Marker, Report};

/// The premium model costs this many times the largest configured one.
const PREMIUM_FACTOR: u64 = 5;
/// What a POST with the operator's key is billed that is not paid by the token: one image, one batch, one key. To read
/// or to delete what others have paid for costs nothing, and counts as a paid call.
const OPERATOR_COST: NanoUsd = NanoUsd(40_000_000);

/// What a run of a provider's own tool is billed, its tokens apart.
const TOOL_COST: NanoUsd = NanoUsd(30_000_000);

/// What a server makes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// An answer that is billed.
    Paid(Box<Order>),
    /// A status and a text, free of charge.
    Free(u16, String),
}

/// A turn that will be answered and billed.
#[derive(Debug)]
pub struct Order {
    /// The call.
    pub call: Call,
    /// Its path.
    pub path: String,
    /// What the prompt asks for.
    pub marker: Marker,
    /// How the request was understood.
    pub reading: Reading,
    /// The model that answers.
    pub model: String,
    /// Input tokens.
    pub input: u64,
    /// Output tokens of all answers, hidden ones included.
    pub output: u64,
    /// The stream of Gemini is server-sent events, not a JSON array.
    pub events: bool,
    /// What it costs.
    pub cost: NanoUsd,
}

/// What the models of a server cost.
#[derive(Clone, Debug)]
pub struct PriceList {
    /// The configured models.
    pub models: Vec<ModelConfig>,
}

impl PriceList {
    /// The prices and the context of a model; of one that is not configured, those of `own`.
    fn of(&self, name: &str, own: &str) -> (Prices, u64) {
        let find = |name: &str| self.models.iter().find(|model| model.name == name);
        let largest = || self.models.iter().max_by_key(|model| model.prices.output_pico_usd_per_token);
        let found = find(name).or_else(|| if name == PREMIUM { largest() } else { find(own) });
        let Some(model) = found.or_else(largest) else { return (Prices::default(), 0) };
        let mut prices = model.prices;
        if name == PREMIUM {
            prices.input_pico_usd_per_token *= PREMIUM_FACTOR;
            prices.output_pico_usd_per_token *= PREMIUM_FACTOR;
        }
        (prices, model.context_tokens)
    }
}

/// Reads a request as the server that its marker names; `own` is the model of the cluster that it came to.
#[must_use]
pub fn judge(own: &str, prices: &PriceList, request: &Received) -> Verdict {
    let free =
        |status: u16, text: &str| Verdict::Free(status, json!({"error": {"message": text}}).to_string());
    let Some(marker) = request.marker() else { return free(400, "a request without a marker") };
    let flavour = marker.flavour;
    let call = call(flavour, &request.effective_method(flavour), request.path());
    match call {
        Call::Unknown => return free(404, "not found"),
        Call::Redirect => return free(307, "moved"),
        Call::Free => return free(200, "free of charge"),
        _ => {}
    }
    if call == Call::Operator {
        let order = Order {
            path: request.path().to_owned(),
            marker,
            reading: Reading { answers: 1, ..Reading::default() },
            model: own.to_owned(),
            input: 0,
            output: 0,
            events: false,
            cost: if request.method == "POST" { OPERATOR_COST } else { NanoUsd::ZERO },
            call,
        };
        return Verdict::Paid(Box::new(order));
    }
    let Some(members) = Members::read(&request.decoded_body(flavour)) else {
        return free(400, "not a JSON object");
    };
    let reading = match read(flavour, &call, &members) {
        Ok(reading) => reading,
        Err(error) => return free(400, error),
    };
    let named = reading.model.as_deref().unwrap_or(own);
    let (prices_of_model, context) = prices.of(named, own);
    let input = tokens::of_request(&members, marker.reference, flavour.open_weights());
    if input >= context {
        return free(400, "context_length_exceeded");
    }
    let limit = reading.limit.unwrap_or(u64::MAX).min(context - input);
    let output = marker.out.min(limit).saturating_mul(reading.answers);
    let usage = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
    Verdict::Paid(Box::new(Order {
        path: request.path().to_owned(),
        model: named.to_owned(),
        events: request.target.contains("alt=sse"),
        cost: cost_of(&reading, prices_of_model.cost(&usage)),
        call,
        marker,
        reading,
        input,
        output,
    }))
}

fn cost_of(reading: &Reading, tokens: NanoUsd) -> NanoUsd {
    let tool = if reading.paid_tool { TOOL_COST.0 } else { 0 };
    NanoUsd(tokens.0.saturating_mul(reading.price_factor).saturating_add(tool))
}

impl Order {
    /// Output tokens that the answer's text shows.
    #[must_use]
    pub fn visible(&self) -> u64 {
        self.output.saturating_sub(self.marker.hidden)
    }

    /// The usage that the answer reports, in the form of its API; `None` where it reports none.
    #[must_use]
    pub fn usage(&self) -> Option<Value> {
        let amount = |tokens: u64, absurd: i64, negative: i64| match self.marker.report {
            Report::Absurd => json!(absurd),
            Report::Negative => json!(negative),
            Report::Zero => json!(0),
            Report::Strings => json!(tokens.to_string()),
            _ => json!(tokens),
        };
        if self.marker.report == Report::Missing {
            return None;
        }
        let input = amount(self.input, 1_000_000_000_000_000, -1000);
        let output = amount(self.output, 1_000_000_000_000_000, -1000);
        let total = amount(self.input + self.output, 2_000_000_000_000_000, -2000);
        Some(self.form(input, output, total))
    }

    /// A usage of one token each.
    #[must_use]
    pub fn tiny_usage(&self) -> Value {
        self.form(json!(1), json!(1), json!(2))
    }

    fn form(&self, input: Value, output: Value, total: Value) -> Value {
        match self.call {
            Call::Messages => json!({"input_tokens": input, "output_tokens": output}),
            Call::Responses => json!({"input_tokens": input, "output_tokens": output, "total_tokens": total}),
            Call::Generate(..) => json!({
                "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": total,
            }),
            Call::Converse(..) => json!({"inputTokens": input, "outputTokens": output, "totalTokens": total}),
            _ => json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": total}),
        }
    }
}
