//! `seqroute simulate`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use seqroute::session;
use seqroute::simulator::Simulator;

#[derive(Debug, Args)]
pub struct Arguments {
    /// How many sessions.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file to write, JSON lines; compressed where the name ends in `.gz`.
    #[arg(long)]
    out: PathBuf,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let sessions = Simulator::new(self.seed).sessions(self.sessions as usize);
        session::write(&self.out, &sessions)
            .with_context(|| format!("{}: cannot be written", self.out.display()))?;
        let turns: usize = sessions.iter().map(|session| session.turns.len()).sum();
        println!("{}: {} sessions, {turns} turns", self.out.display(), sessions.len());
        Ok(())
    }
}
