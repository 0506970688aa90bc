//! A run: honest clients alone, honest clients in a crowd, and then next to attackers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::bill::Bill;
use super::bound::{self, Scope};
use super::charged;
use super::gateway::{Gateway, Listener};
use super::honest::{Client, Experience};
use super::judge::Sums;
use super::kinds::Kind;
use super::report::{RELOADS, Report};
use super::world::{Campaign, World, mix};

/// Honest clients that are measured, spread over the listeners.
const HONEST_CLIENTS: u64 = 6;
/// Pauses between the turns of honest clients.
const BRISK: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_millis(500);
/// How often progress is printed.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How long turns in flight and records may take after the end.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Counters that say that something went wrong in the filter.
const COUNTERS: [&str; 7] = [
    RELOADS,
    "table_full",
    "store_errors",
    "overruns",
    "late_settlements",
    "leases_expired",
    "usage_estimated",
];

/// Which campaigns a run plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Every kind once, then kinds drawn by the seed until the run is over.
    Drawn,
    /// Every variant of every kind once.
    EachVariant,
}

/// The size of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hostile turns.
    pub turns: u64,
    /// Ends the attack earlier.
    pub seconds: Option<u64>,
    /// Which campaigns.
    pub mix: Mix,
    /// Campaigns at once.
    pub concurrency: usize,
    /// Seed of the mix of kinds and of their choices.
    pub seed: u64,
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Workers of Envoy.
    pub workers: u32,
    /// Seconds of each of the two phases without attackers.
    pub calm_seconds: u64,
}

/// Runs it all; `interrupt` ends the attack before its time.
///
/// # Errors
/// When Envoy does not start, or its records cannot be read.
pub async fn run(options: &Options, interrupt: impl Future<Output = ()> + Send + 'static) -> Result<Report> {
    ensure!(!options.kinds.is_empty(), "no kinds of attack");
    let bill = Arc::new(Bill::default());
    let run_dir = tempfile::tempdir()?;
    let listeners = listeners(&options.kinds);
    eprintln!(
        "starting Envoy with {} listeners: it compiles the filter, which takes some seconds …",
        listeners.len()
    );
    let gateway = Gateway::start(run_dir.path(), &listeners, options.workers, &bill).await?;
    let mut addresses = HashMap::new();
    for listener in &listeners {
        addresses.insert(listener.name(), gateway.address(*listener)?);
    }
    let world = Arc::new(World::new(addresses, options.turns));
    stop_after(&world, interrupt);

    let calm = Duration::from_secs(options.calm_seconds);
    let alone = honest_phase(&world, &listeners, calm, 0).await;
    let crowd = honest_phase(&world, &listeners, calm, options.concurrency as u64).await;
    let (attacked, seconds) = attack(options, &world, &listeners, &bill).await;
    settle(&gateway, &bill).await;

    let largest = gateway.models.iter().max_by_key(|model| model.prices.output_pico_usd_per_token);
    let per_turn = bound::per_turn(&largest.context("no models")?.prices);
    let sums = Sums {
        billed: bill.accounts(),
        charged: charged::read(&gateway, &world)?,
        seen: world.seen(),
        budget: gateway.budget,
        per_turn,
    };
    let report = Report {
        kinds: sums.rows(&options.kinds),
        honest: sums.row("honest", "", Scope::Session, true),
        alone,
        crowd,
        attacked,
        budget: gateway.budget,
        per_turn,
        seconds,
        record_bytes: charged::bytes(&gateway),
        counters: counters(&gateway).await?,
    };
    gateway.envoy.stop().await;
    Ok(report)
}

fn listeners(kinds: &[Kind]) -> Vec<Listener> {
    let all = [Listener::Main, Listener::Teams, Listener::Leases, Listener::Crowded, Listener::CrowdedTeams];
    let needed = |listener: &Listener| kinds.iter().any(|kind| kind.listener == *listener);
    all.into_iter().filter(|listener| *listener == Listener::Main || needed(listener)).collect()
}

fn stop_after(world: &Arc<World>, event: impl Future<Output = ()> + Send + 'static) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        event.await;
        world.stop();
    });
}

/// The measured honest clients, one after another on the listeners.
fn clients(listeners: &[Listener], experience: &Arc<Mutex<Experience>>) -> Vec<Client> {
    let client = |number: u64| Client {
        name: "honest".to_owned(),
        number,
        listener: listeners[number as usize % listeners.len()],
        // The small table must not be filled by honest sessions.
        pause: if listeners[number as usize % listeners.len()] == Listener::Crowded { SLOW } else { BRISK },
        experience: Arc::clone(experience),
    };
    (0..HONEST_CLIENTS).map(client).collect()
}

/// Honest clients, and `crowd` more that are not measured and do not pause.
async fn honest_phase(world: &Arc<World>, listeners: &[Listener], calm: Duration, crowd: u64) -> Experience {
    let phase = if crowd == 0 { "alone" } else { "crowd" };
    let experience = Arc::new(Mutex::new(Experience::default()));
    let mut all = clients(listeners, &experience);
    all.iter_mut().for_each(|client| client.number += if crowd == 0 { 100 } else { 200 });
    all.extend((0..crowd).map(|number| Client {
        name: "crowd".to_owned(),
        number: 1000 + number,
        listener: Listener::Main,
        pause: Duration::ZERO,
        experience: Arc::default(),
    }));
    eprintln!("honest clients, {phase}: {} s", calm.as_secs());
    let until = Some(Instant::now() + calm);
    join_all(all.into_iter().map(|client| client.talk(Arc::clone(world), until))).await;
    take(&experience)
}

fn take(experience: &Mutex<Experience>) -> Experience {
    experience.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The attack itself; what honest clients saw meanwhile, and how long it took.
async fn attack(
    options: &Options,
    world: &Arc<World>,
    listeners: &[Listener],
    bill: &Arc<Bill>,
) -> (Experience, f64) {
    let experience = Arc::new(Mutex::new(Experience::default()));
    let honest: Vec<_> = clients(listeners, &experience)
        .into_iter()
        .map(|client| tokio::spawn(client.talk(Arc::clone(world), None)))
        .collect();
    if let Some(seconds) = options.seconds {
        stop_after(world, tokio::time::sleep(Duration::from_secs(seconds)));
    }
    let begin = Instant::now();
    let progress = tokio::spawn(progress(Arc::clone(world), Arc::clone(bill), options.turns, begin));
    let mut ordinals = HashMap::<&str, u64>::new();
    let running = campaigns(options).take_while(|_| !world.is_over()).zip(0u64..).map(|(kind, number)| {
        let next = ordinals.entry(kind.name).or_default();
        let campaign = Campaign::new(Arc::clone(world), kind.name, number, *next, options.seed);
        *next += 1;
        (kind.play)(campaign)
    });
    futures_util::stream::iter(running).for_each_concurrent(options.concurrency, |campaign| campaign).await;
    world.stop();
    progress.abort();
    join_all(honest).await;
    (take(&experience), begin.elapsed().as_secs_f64())
}

/// The kinds of all campaigns, in their order.
fn campaigns(options: &Options) -> Box<dyn Iterator<Item = Kind> + '_> {
    match options.mix {
        Mix::Drawn => Box::new((0..).map(|number| kind_of(options, number))),
        Mix::EachVariant => {
            let most = options.kinds.iter().map(|kind| kind.variants).max().unwrap_or(0);
            let with = |variant| options.kinds.iter().filter(move |kind| variant < kind.variants).copied();
            Box::new((0..most).flat_map(with))
        }
    }
}

/// The first campaigns play every kind once; then the seed draws.
fn kind_of(options: &Options, number: u64) -> Kind {
    let count = options.kinds.len() as u64;
    let at = if number < count { number.wrapping_add(options.seed) } else { mix(mix(options.seed) ^ number) };
    options.kinds[(at % count) as usize]
}

async fn progress(world: Arc<World>, bill: Arc<Bill>, turns: u64, begin: Instant) {
    loop {
        tokio::time::sleep(PROGRESS_EVERY).await;
        let billed: f64 = bill.accounts().values().map(|account| account.billed.as_usd()).sum();
        eprintln!(
            "{:4.0} s: {} of {turns} hostile turns, {billed:.2} USD billed",
            begin.elapsed().as_secs_f64(),
            world.turns()
        );
    }
}

/// Waits until no model server works and no record is written any more.
async fn settle(gateway: &Gateway, bill: &Bill) {
    let deadline = Instant::now() + AFTERMATH;
    let (mut before, mut quiet) = (0, 0);
    while Instant::now() < deadline && quiet < 4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let running: u32 = bill.accounts().values().map(|account| account.in_flight).sum();
        let bytes = charged::bytes(gateway);
        quiet = if running == 0 && bytes == before { quiet + 1 } else { 0 };
        before = bytes;
    }
}

async fn counters(gateway: &Gateway) -> Result<Vec<(String, u64)>> {
    let stats = gateway.envoy.stats(".").await?;
    let sum = |name: &str| {
        let of_name = stats.iter().filter(|(key, _)| key.rsplit('.').next() == Some(name));
        of_name.map(|(_, value)| *value).sum()
    };
    Ok(COUNTERS.iter().map(|name| ((*name).to_owned(), sum(name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::kinds;

    fn options(mix: Mix) -> Options {
        Options {
            turns: 0,
            seconds: None,
            mix,
            concurrency: 1,
            seed: 5,
            kinds: kinds::all(),
            workers: 1,
            calm_seconds: 0,
        }
    }

    #[test]
    fn each_variant_of_a_kind_is_one_campaign() {
        let options = options(Mix::EachVariant);
        for kind in &options.kinds {
            assert_eq!(campaigns(&options).filter(|played| played.name == kind.name).count(), kind.variants);
        }
    }

    #[test]
    fn a_random_mix_begins_with_every_kind() {
        let options = options(Mix::Drawn);
        let mut first: Vec<_> = campaigns(&options).take(options.kinds.len()).map(|kind| kind.name).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), options.kinds.len());
    }
}
