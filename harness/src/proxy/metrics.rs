//! Counters, gauges and histograms, under Envoy's rules.
//!
//! Values belong to the host and are found by name, so a metric survives a reload and is summed over VMs, as in
//! Envoy's stats. The ids that a plugin uses are valid for one life of a VM and carry the type in their two lowest
//! bits. Defining a name again returns another id for the same value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::abi::status::Status;
use crate::control::lock::lock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

impl Kind {
    fn from_abi(number: u32) -> Option<Self> {
        [Kind::Counter, Kind::Gauge, Kind::Histogram].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The metrics of one host; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    values: Arc<Mutex<Values>>,
}

#[derive(Debug, Default)]
struct Values {
    /// The index of each metric, in `histograms` or else in `numbers`.
    places: BTreeMap<(Kind, Vec<u8>), usize>,
    numbers: Vec<u64>,
    histograms: Vec<Vec<u64>>,
}

impl Values {
    /// The index of the metric, which is created if it is new.
    fn place(&mut self, kind: Kind, name: &[u8]) -> usize {
        let next = if kind == Kind::Histogram { self.histograms.len() } else { self.numbers.len() };
        let place = *self.places.entry((kind, name.to_vec())).or_insert(next);
        match kind {
            Kind::Histogram if place == next => self.histograms.push(Vec::new()),
            Kind::Counter | Kind::Gauge if place == next => self.numbers.push(0),
            _ => {}
        }
        place
    }
}

impl Metrics {
    /// The value of a counter, or `None` if no plugin defined it.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.number(Kind::Counter, name)
    }

    /// The value of a gauge, or `None` if no plugin defined it.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        self.number(Kind::Gauge, name)
    }

    /// The values recorded in a histogram, or `None` if no plugin defined it.
    pub fn histogram(&self, name: &str) -> Option<Vec<u64>> {
        let values = lock(&self.values);
        let place = *values.places.get(&(Kind::Histogram, name.as_bytes().to_vec()))?;
        values.histograms.get(place).cloned()
    }

    /// The names of all metrics of all types, sorted.
    pub fn names(&self) -> Vec<String> {
        let values = lock(&self.values);
        let names = values.places.keys().map(|(_, name)| String::from_utf8_lossy(name).into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn number(&self, kind: Kind, name: &str) -> Option<u64> {
        let values = lock(&self.values);
        let place = *values.places.get(&(kind, name.as_bytes().to_vec()))?;
        values.numbers.get(place).copied()
    }
}

/// The metric ids of one life of a VM.
#[derive(Debug)]
pub(crate) struct MetricTable {
    metrics: Metrics,
    /// Kind and index of each metric, by its id without the type bits.
    defined: Vec<(Kind, usize)>,
}

impl MetricTable {
    pub(crate) fn new(metrics: Metrics) -> Self {
        MetricTable { metrics, defined: Vec::new() }
    }

    pub(crate) fn define(&mut self, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let kind = Kind::from_abi(kind).ok_or(Status::BadArgument)?;
        let place = lock(&self.metrics.values).place(kind, name);
        self.defined.push((kind, place));
        Ok((self.defined.len() as u32) << 2 | kind as u32)
    }

    /// The metric with this id.
    fn find(&self, id: u32) -> Result<(Kind, usize), Status> {
        let index = (id >> 2).checked_sub(1).ok_or_else(|| unknown(id))?;
        let known = self.defined.get(index as usize).filter(|(kind, _)| *kind as u32 == id & 3);
        known.copied().ok_or_else(|| unknown(id))
    }

    pub(crate) fn increment(&mut self, id: u32, delta: i64) -> Result<(), Status> {
        self.update(id, |kind, number| match kind {
            // Envoy refuses zero, too.
            Kind::Counter if delta > 0 => Ok(number.saturating_add_signed(delta)),
            // A gauge that falls below zero wraps around in Envoy.
            Kind::Gauge => Ok(number.wrapping_add_signed(delta)),
            _ => Err(Status::BadArgument),
        })
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        // Recording into an unknown metric is `NotFound`, whatever the type in its id.
        let (kind, place) = self.find(id).map_err(|_| Status::NotFound)?;
        if kind == Kind::Histogram {
            let mut values = lock(&self.metrics.values);
            values.histograms.get_mut(place).ok_or(Status::NotFound)?.push(value);
            return Ok(());
        }
        self.update(id, |kind, number| match kind {
            // Envoy adds the value to a counter instead of setting it.
            Kind::Counter => Ok(number.saturating_add(value)),
            _ => Ok(value),
        })
    }

    pub(crate) fn get(&self, id: u32) -> Result<u64, Status> {
        match self.find(id)? {
            (Kind::Histogram, _) => Err(Status::BadArgument),
            (_, place) => lock(&self.metrics.values).numbers.get(place).copied().ok_or(Status::NotFound),
        }
    }

    fn update(
        &mut self,
        id: u32,
        change: impl FnOnce(Kind, u64) -> Result<u64, Status>,
    ) -> Result<(), Status> {
        let (kind, place) = self.find(id)?;
        let mut values = lock(&self.metrics.values);
        // A histogram has no single value, and cannot be incremented.
        let mut none = 0;
        let number = match kind {
            Kind::Histogram => &mut none,
            _ => values.numbers.get_mut(place).ok_or(Status::NotFound)?,
        };
        *number = change(kind, *number)?;
        Ok(())
    }
}

/// Envoy's status for an id that was never returned: its low bits give the type, and only counters and gauges are
/// looked up.
fn unknown(id: u32) -> Status {
    match Kind::from_abi(id & 3) {
        Some(Kind::Counter | Kind::Gauge) => Status::NotFound,
        _ => Status::BadArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: u32 = 0;
    const GAUGE: u32 = 1;
    const HISTOGRAM: u32 = 2;

    #[test]
    fn counters_only_rise_and_recording_adds() {
        let metrics = Metrics::default();
        let mut table = MetricTable::new(metrics.clone());
        let id = table.define(COUNTER, b"c").unwrap();
        table.increment(id, 2).unwrap();
        table.record(id, 3).unwrap();
        assert_eq!(table.increment(id, 0), Err(Status::BadArgument));
        assert_eq!(table.increment(id, -1), Err(Status::BadArgument));
        assert_eq!((table.get(id), metrics.counter("c")), (Ok(5), Some(5)));
    }

    #[test]
    fn gauges_are_set_and_move_both_ways() {
        let metrics = Metrics::default();
        let mut table = MetricTable::new(metrics.clone());
        let id = table.define(GAUGE, b"g").unwrap();
        table.record(id, 10).unwrap();
        table.increment(id, -4).unwrap();
        assert_eq!(metrics.gauge("g"), Some(6));
        table.increment(id, -7).unwrap();
        assert_eq!(metrics.gauge("g"), Some(u64::MAX));
    }

    #[test]
    fn histograms_keep_what_was_recorded() {
        let metrics = Metrics::default();
        let mut table = MetricTable::new(metrics.clone());
        let id = table.define(HISTOGRAM, b"h").unwrap();
        table.record(id, 4).unwrap();
        table.record(id, 9).unwrap();
        assert_eq!(metrics.histogram("h"), Some(vec![4, 9]));
        assert_eq!(table.increment(id, 1), Err(Status::BadArgument));
        assert_eq!(table.get(id), Err(Status::BadArgument));
    }

    #[test]
    fn a_name_defined_twice_is_one_value_and_unknown_ids_are_not_found() {
        let metrics = Metrics::default();
        let mut first = MetricTable::new(metrics.clone());
        let mut second = MetricTable::new(metrics.clone());
        let (a, b) = (first.define(COUNTER, b"c").unwrap(), second.define(COUNTER, b"c").unwrap());
        first.increment(a, 1).unwrap();
        second.increment(b, 1).unwrap();
        assert_eq!(metrics.counter("c"), Some(2));
        assert_eq!(first.define(3, b"x"), Err(Status::BadArgument));
        assert_eq!(first.record(999, 1), Err(Status::NotFound));
        assert_eq!(metrics.names(), ["c"]);
    }
}
