//! The `seqroute-harness` command: what one wants to know of a proxy-wasm module without starting a proxy.
//!
//! It lives beside the library and not in it, because it knows SeqRoute: `replay` reads the trainer's sessions and
//! `soak` drives the core. `bench` and `conformance` take any module.
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

/// Play requests through a proxy-wasm module, without a proxy.
#[derive(Debug, Parser)]
#[command(name = "seqroute-harness", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play recorded sessions through the filter under given budgets: cost, quality, who served, who went bankrupt.
    Replay(replay::Arguments),
    /// Measure turns per second, beside a plugin that does nothing.
    Bench(bench::Arguments),
    /// Send millions of new session ids and check that memory stays bounded.
    Soak(soak::Arguments),
    /// Check a module of anyone: does it load, link, configure, and survive what a proxy does to it?
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
