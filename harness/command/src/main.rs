//! The `seqroute-harness` command: inspect any proxy-wasm module without a proxy.
//!
//! It is a crate of its own because it depends on SeqRoute: `replay` reads session files and `soak` drives the core.
//! `bench` and `conformance` take any module.
//!
//! Results go to stdout, progress to stderr (and only to a terminal), an error is one line on stderr and status 1.
#![forbid(unsafe_code)]

mod bench;
mod chat;
mod conformance;
mod measure;
mod replay;
mod soak;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Send requests through a proxy-wasm module, without a proxy.
#[derive(Debug, Parser)]
#[command(name = "seqroute-harness", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay recorded sessions through the filter under given budgets: cost, quality, models, bankrupt sessions.
    Replay(replay::Arguments),
    /// Measure turns per second, compared with a plugin that does nothing.
    Bench(bench::Arguments),
    /// Send millions of new session ids and check that memory stays bounded.
    Soak(soak::Arguments),
    /// Check any module: does it load, link, configure, and survive what a proxy does to it?
    Conformance(conformance::Arguments),
}

impl Cli {
    fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Replay(arguments) => arguments.run(),
            Command::Bench(arguments) => arguments.run(),
            Command::Soak(arguments) => arguments.run(),
            Command::Conformance(arguments) => arguments.run(),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("seqroute-harness: {error:#}");
            ExitCode::FAILURE
        }
    }
}
