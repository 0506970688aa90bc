//! Steps per second of the training loop, for `trainer/bench/training_speed.py`.
//!
//! ```text
//! training_speed export FOLDER                        # transitions as flat little-endian files, with shape.json
//! training_speed run BATCH SHARDS STEPS               # one JSON line: steps, wall and CPU seconds of the loop
//! ```
//!
//! Both use the same relabelled sessions of the simulator with one answer per turn, so that a state has one row and no
//! contender can share work between the answers of a state.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use seqroute::hbr::{self, HbrConfig, Transitions};
use seqroute::learner::cql::{Cql, CqlConfig};
use seqroute::learner::progress::{Progress, Validation};
use seqroute::learner::training_loop::{FitConfig, TrainingLoop};
use seqroute::network::Normalisation;
use seqroute_sessions::simulator::{Simulator, tiers};
use serde_json::json;

const SESSIONS: usize = 10_000;

fn transitions() -> Result<Transitions> {
    let mut sessions = Simulator::new(1).sessions(SESSIONS);
    for (number, turn) in sessions.iter_mut().flat_map(|session| &mut session.turns).enumerate() {
        let kept = turn.options.swap_remove(number % turn.options.len());
        turn.options = vec![kept];
    }
    let mut rows = hbr::relabel(&sessions, &tiers(), &HbrConfig::default(), 1)?;
    let normalisation = Normalisation::of(&rows.states, rows.features);
    normalisation.apply(&mut rows.states);
    normalisation.apply(&mut rows.next_states);
    Ok(rows)
}

fn export(folder: &Path) -> Result<()> {
    let rows = transitions()?;
    std::fs::create_dir_all(folder)?;
    let floats = |name: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.join(name), bytes).with_context(|| name.to_owned())
    };
    floats("states.f32", &rows.states)?;
    floats("next_states.f32", &rows.next_states)?;
    floats("qualities.f32", &rows.qualities)?;
    floats("costs.f32", &rows.costs)?;
    floats("lambdas.f32", &rows.lambdas)?;
    let flags = |values: &[bool]| values.iter().map(|value| u8::from(*value)).collect::<Vec<u8>>();
    for (name, bytes) in [
        ("actions.u8", rows.actions.clone()),
        ("masks.u8", flags(&rows.masks)),
        ("next_masks.u8", flags(&rows.next_masks)),
        ("terminal.u8", flags(&rows.terminal)),
    ] {
        std::fs::write(folder.join(name), bytes).with_context(|| name.to_owned())?;
    }
    let shape = json!({"rows": rows.len(), "features": rows.features, "models": rows.models});
    std::fs::write(folder.join("shape.json"), shape.to_string())?;
    println!("{shape}");
    Ok(())
}

/// CPU seconds of this process so far (Linux; 0 elsewhere).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn run(batch: usize, shards: usize, steps: usize) -> Result<()> {
    let rows = transitions()?;
    let warm_up_steps = (steps / 10).max(1);
    let config =
        FitConfig { batch, shards, steps: steps + warm_up_steps, checkpoints: 1, ..FitConfig::default() };
    // The clock starts after the first steps, which warm caches.
    let mut started = None;
    let mut observer = |progress: Progress<'_>| -> ControlFlow<Infallible> {
        if matches!(progress, Progress::Step(step) if step == warm_up_steps) {
            started = Some((Instant::now(), cpu_s()));
        }
        ControlFlow::Continue(())
    };
    let training_loop = TrainingLoop {
        rows: &|_| Ok(rows.clone()),
        learner: &Cql(CqlConfig::default()),
        config: &config,
        seed: 1,
        validate: &|_, _| Ok(Validation::default()),
    };
    let ControlFlow::Continue(state) = training_loop.run(rows.clone(), None, &mut observer)?;
    let (started, cpu) = started.context("no step")?;
    let wall_s = started.elapsed().as_secs_f64();
    println!("{}", json!({"steps": state.step - warm_up_steps, "wall_s": wall_s, "cpu_s": cpu_s() - cpu}));
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["export", folder] => export(Path::new(folder)),
        ["run", batch, shards, steps] => run(batch.parse()?, shards.parse()?, steps.parse()?),
        _ => bail!("expected `export FOLDER` or `run BATCH SHARDS STEPS`"),
    }
}
