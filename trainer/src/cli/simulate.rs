//! `seqroute simulate`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use seqroute_sessions::session;
use seqroute_sessions::simulator::{Scenario, Simulator};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of sessions.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Seed of the simulator.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Scenario.
    #[arg(long, value_parser = scenario, default_value = "default")]
    scenario: Scenario,
    /// The file to write, JSON lines; compressed where the name ends in `.gz` or `.zst`.
    #[arg(long)]
    out: PathBuf,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let simulator = Simulator::of(self.scenario, self.seed);
        let mut turns = 0usize;
        let sessions =
            simulator.iter().take(self.sessions as usize).inspect(|session| turns += session.turns.len());
        session::write(&self.out, sessions)
            .with_context(|| format!("{}: cannot be written", self.out.display()))?;
        println!("{}: {} sessions, {turns} turns", self.out.display(), self.sessions);
        Ok(())
    }
}

fn scenario(text: &str) -> Result<Scenario, String> {
    Scenario::named(text).ok_or_else(|| {
        let known: Vec<_> = Scenario::ALL.iter().map(|(name, _)| *name).collect();
        format!("found `{text}`, expected one of {}", known.join(", "))
    })
}
