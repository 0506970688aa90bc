//! The report of an evaluation, and how it is written: tables as text, CSV, and a page with plots.

pub mod csv;
pub mod html;
pub mod table;

use serde::Serialize;

use super::frontier::{Saving, SweepPoint};
use super::measurement::{Comparison, Measurement};
use super::methods::MethodKind;
use super::probe::Probe;

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Sessions played.
    pub sessions: usize,
    /// Their turns.
    pub turns: usize,
    /// The model with the highest mean cost.
    pub strongest: String,
    /// Its index in the models file.
    pub strongest_index: usize,
    /// The model with the lowest mean cost.
    pub cheapest: String,
    /// Mean cost of a session that the strongest model answers alone.
    pub reference_cost_usd: f64,
    /// Names and kinds of the methods, in the order of the tables.
    pub methods: Vec<(String, MethodKind)>,
    /// By budget: share of the sessions that always choosing the cheapest model finishes.
    pub finished_cheaply_share: Vec<f64>,
    /// One line per budget and method.
    pub measurements: Vec<Measurement>,
    /// One line per budget and method, except the first policy.
    pub comparisons: Vec<Comparison>,
    /// The first policy under many values of λ.
    pub sweep: Vec<SweepPoint>,
    /// Its cost at the quality of the others.
    pub savings: Vec<Saving>,
    /// When each router chooses the strongest model.
    pub probes: Vec<Probe>,
}
