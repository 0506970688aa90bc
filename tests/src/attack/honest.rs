//! Honest clients: short conversations well within their budgets. Nobody may refuse them, and they should not wait.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gateway::{Listener, TEAM_HEADER};
use super::kinds::{chat, messages, prose};
use super::marker::Marker;
use super::server::flavour::Flavour;
use super::wire::{Connection, Leave, Request};
use super::world::{World, mix};

/// Turns of a conversation. At the prices of the largest model it costs a third of a session's budget.
const TURNS: u64 = 6;
/// Far more than a client has in one run; its accounts are numbered within this.
const SESSIONS_OF_A_CLIENT: u64 = 100_000;
/// The team of honest clients where there are teams; its budget is never used up.
const TEAM: &str = "gold";

/// What honest clients saw in one phase of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Experience {
    /// Microseconds from a request to its whole answer.
    pub latencies_us: Vec<u64>,
    /// Requests that were not answered, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Experience {
    /// The latency that a share of the turns does not exceed, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |us| *us as f64 / 1000.0)
    }

    /// All refusals.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// One honest client.
#[derive(Clone, Debug)]
pub struct Client {
    /// What its sessions are called: accounts are `<name>-<number>`.
    pub name: String,
    /// Its number among the clients of its name.
    pub number: u64,
    /// Where it calls.
    pub listener: Listener,
    /// Pause between turns.
    pub pause: Duration,
    /// Where it notes what it saw.
    pub experience: Arc<Mutex<Experience>>,
}

impl Client {
    /// Holds one conversation after another until `until` or the end of the run. Each is another person's, with a
    /// connection and an address of its own.
    pub async fn talk(self, world: Arc<World>, until: Option<Instant>) {
        let over = || world.is_stopped() || until.is_some_and(|until| Instant::now() >= until);
        for session in 0u64.. {
            let number = self.number * SESSIONS_OF_A_CLIENT + session % SESSIONS_OF_A_CLIENT;
            let (account, mut connection) = (format!("{}-{number}", self.name), None);
            for turn in 0..TURNS {
                if over() {
                    return;
                }
                let begin = Instant::now();
                let outcome = self.turn(&world, &mut connection, &account, number, turn).await;
                self.note(begin, outcome);
                tokio::time::sleep(self.pause).await;
            }
        }
    }

    /// One turn, or why there was no answer.
    async fn turn(
        &self,
        world: &World,
        connection: &mut Option<Connection>,
        account: &str,
        number: u64,
        turn: u64,
    ) -> Result<(), String> {
        let Some(address) = world.address(self.listener) else { return Ok(()) };
        let team = if self.listener.has_teams() { TEAM } else { "" };
        world.register(team, account, account);
        let mut request = self.request(account, turn);
        if self.listener.has_teams() {
            request = request.header(TEAM_HEADER, TEAM);
        }
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address, address_of(number)).await,
        };
        let mut open = open.map_err(|error| format!("no connection: {}", error.kind()))?;
        let reply = open.exchange(&request, Leave::Never).await.map_err(|error| error.kind().to_string())?;
        if !reply.is_served() || reply.left {
            return Err(format!("{} {}", reply.status, reply.reason));
        }
        *connection = Some(open).filter(|_| !reply.closes);
        Ok(())
    }

    fn note(&self, begin: Instant, outcome: Result<(), String>) {
        let mut seen = self.experience.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => seen.latencies_us.push(begin.elapsed().as_micros() as u64),
            Err(reason) => *seen.refused.entry(reason).or_default() += 1,
        }
    }

    fn request(&self, account: &str, turn: u64) -> Request {
        let number = mix(self.number << 32 | turn);
        let marker = Marker { delay_ms: 5, ..Marker::new(account).out(40 + number % 120) };
        let history = prose(400 * (turn as usize + 1));
        let stream = number.is_multiple_of(2);
        let request = if self.number.is_multiple_of(3) {
            let part = format!(r#",{{"type":"text","text":"{history}"}}"#);
            messages(&marker.at(Flavour::Anthropic), &part, &format!(r#""max_tokens":300,"stream":{stream}"#))
        } else {
            chat(&marker, &history, &format!(r#""stream":{stream},"max_tokens":300"#))
        };
        request.header("x-session-id", account)
    }
}

/// An address on loopback for each number.
fn address_of(number: u64) -> IpAddr {
    let [.., second, third, fourth] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 | second >> 1, third, fourth.clamp(1, 254)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_latency_that_was_seen() {
        let seen =
            Experience { latencies_us: (1..=100).map(|ms| ms * 1000).collect(), ..Experience::default() };
        assert_eq!((seen.quantile_ms(0.5), seen.quantile_ms(0.99)), (51.0, 100.0));
        assert_eq!(Experience::default().quantile_ms(0.5), 0.0);
    }
}
