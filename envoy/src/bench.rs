//! What the filter costs: start-up, and latency added to a request.
//!
//! Two listeners of one Envoy, with and without the filter, are loaded alternately in one run, so that the machine's
//! noise affects both. The client shares the machine with Envoy and the model servers, so absolute times say
//! little; the difference between the listeners is the filter's.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::chat;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// An empty histogram of latencies in microseconds, exact to three digits.
///
/// # Errors
/// Never: the number of digits is valid.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new(DIGITS)?)
}

/// Microseconds of processor time that a process has used since it began, over all threads (Linux: fields 14 and
/// 15 of `/proc/PID/stat` in ticks of 10 ms, proc(5)); `None` where that cannot be read.
#[must_use]
pub fn processor_time_us(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may itself contain any character.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * 10_000)
}

/// Sends the same chat request over and over on `connections` connections and returns the latencies in microseconds.
///
/// # Errors
/// When an answer is anything but 200.
pub async fn load(url: &str, connections: usize, duration: Duration, body: &str) -> Result<Histogram<u64>> {
    let end = Instant::now() + duration;
    let worker = async |number: usize| -> Result<Histogram<u64>> {
        // One client per connection: a shared pool would open more under contention.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build()?;
        let session = format!("bench-{number}");
        let mut measured = latencies()?;
        while Instant::now() < end {
            let request = chat::post(&client, url, body.to_owned())
                .header("x-session-id", &session)
                .header("x-seqroute-budget-usd", "1000")
                .header("x-mock-output-tokens", "16");
            let start = Instant::now();
            let response = request.send().await?;
            let status = response.status().as_u16();
            let answer = response.bytes().await?;
            measured.record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))?;
            if status != 200 {
                bail!("found status {status}, expected 200: {}", String::from_utf8_lossy(&answer));
            }
        }
        Ok(measured)
    };
    let mut all = latencies()?;
    for measured in futures_util::future::try_join_all((0..connections).map(worker)).await? {
        all.add(&measured)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

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
