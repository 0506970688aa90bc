//! What the filter costs: start-up, and latency added to a request.
//!
//! Two listeners of one Envoy, with and without the filter, are loaded in turn, round by round, in one run: the
//! machine's noise hits both. The client shares the machine with Envoy and the model servers, so absolute times say
//! little; the difference between the listeners is the filter's.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Latencies of one listener.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted_us: Vec<u64>,
}

impl Latencies {
    /// Puts measurements in order.
    #[must_use]
    pub fn new(mut measured_us: Vec<u64>) -> Self {
        measured_us.sort_unstable();
        Latencies { sorted_us: measured_us }
    }

    /// The latency that a share of the requests did not exceed, in microseconds; 0 without requests.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> u64 {
        let last = self.sorted_us.len().saturating_sub(1);
        self.sorted_us.get((share * last as f64).round() as usize).copied().unwrap_or(0)
    }

    /// How many requests there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted_us.len()
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted_us.is_empty()
    }
}

/// Microseconds of processor time that a process has used since it began, all threads together (Linux: fields 14 and
/// 15 of `/proc/PID/stat` in ticks of 10 ms, proc(5)); `None` where that cannot be read.
#[must_use]
pub fn processor_time_us(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * 10_000)
}

/// Sends the same chat request over and over on `connections` connections and returns each latency in microseconds.
///
/// # Errors
/// When an answer is anything but 200.
pub async fn load(url: &str, connections: usize, duration: Duration, body: &str) -> Result<Vec<u64>> {
    let end = Instant::now() + duration;
    let worker = async |number: usize| -> Result<Vec<u64>> {
        // One client per connection: a shared pool would open more under contention.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build()?;
        let session = format!("bench-{number}");
        let mut measured_us = Vec::new();
        while Instant::now() < end {
            let request = client
                .post(format!("{url}/v1/chat/completions"))
                .header("content-type", "application/json")
                .header("x-session-id", &session)
                .header("x-seqroute-budget-usd", "1000")
                .header("x-mock-output-tokens", "16")
                .body(body.to_owned());
            let start = Instant::now();
            let response = request.send().await?;
            let status = response.status().as_u16();
            let answer = response.bytes().await?;
            measured_us.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            if status != 200 {
                bail!("found status {status}, expected 200: {}", String::from_utf8_lossy(&answer));
            }
        }
        Ok(measured_us)
    };
    let results = futures_util::future::try_join_all((0..connections).map(worker)).await?;
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_latencies() {
        let latencies = Latencies::new((0..=100).rev().collect());
        assert_eq!((latencies.quantile_us(0.5), latencies.quantile_us(0.99)), (50, 99));
        assert_eq!(Latencies::default().quantile_us(0.5), 0);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let pid = std::process::id();
        let before = processor_time_us(pid).unwrap();
        let mut sum = 0_u64;
        while processor_time_us(pid).unwrap() < before + 20_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
        assert_eq!(processor_time_us(u32::MAX), None);
    }
}
