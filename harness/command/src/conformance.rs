//! `seqroute-harness conformance`: exercises a module in every way that a proxy does.
//!
//! Each check has its own host, so that a failure does not affect the next check. A check fails if the plugin would fail
//! in any proxy (it does not load, refuses its configuration, traps, leaks memory on every request), and
//! warns if it may fail in some. Whether the plugin does its *job* is up to its own tests.

mod checks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use seqroute_harness::{AbiVersion, Module};
use seqroute_sessions::terminal;
use serde::Serialize;

use crate::target::{self, SettingsArguments};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The module.
    #[arg(value_name = "WASM")]
    module: PathBuf,
    /// Plugin configuration, any bytes; by default empty.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Policy archive for SeqRoute's filter, added to --config or to the shipped configuration.
    #[arg(long, value_name = "TAR")]
    policy: Option<PathBuf>,
    /// VM configuration, any bytes; by default empty.
    #[arg(long, value_name = "FILE")]
    vm_config: Option<PathBuf>,
    /// Request body; without it a short chat request.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Path of the requests.
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The module under test and its inputs.
struct Subject {
    module: Module,
    configuration: Vec<u8>,
    vm_configuration: Vec<u8>,
    body: Vec<u8>,
    path: String,
}

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Passed,
    Warning,
    Failed,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Debug, Serialize)]
struct ReportedImport {
    module: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct Report {
    module: String,
    abi: Option<&'static str>,
    passed: bool,
    checks: Vec<Line>,
    imports: Vec<ReportedImport>,
}

impl Arguments {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(self.module.is_file(), "{}: no such module", self.module.display());
        let read = |path: &Option<PathBuf>| match path {
            Some(path) => std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display())),
            None => Ok(Vec::new()),
        };
        let configuration = match &self.policy {
            Some(policy) => {
                SettingsArguments::of(self.config.clone(), policy.clone()).read(|_| ())?.to_string().into()
            }
            None => read(&self.config)?,
        };
        let vm_configuration = read(&self.vm_config)?;
        let body = match &self.body {
            Some(_) => read(&self.body)?,
            None => br#"{"model":"auto","messages":[{"role":"user","content":"hello"}]}"#.to_vec(),
        };
        let module = self.module.display().to_string();
        let report = match target::load(&self.module) {
            Err(error) => {
                let detail = format!("{:#}", error.root_cause());
                let line = Line { check: "loads and links", verdict: Verdict::Failed, detail };
                Report { module, abi: None, passed: false, checks: vec![line], imports: Vec::new() }
            }
            Ok(loaded) => {
                let path = self.path.clone();
                report(module, &Subject { module: loaded, configuration, vm_configuration, body, path })
            }
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print(&report);
        }
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn report(module: String, subject: &Subject) -> Report {
    let abi = match subject.module.abi_version() {
        AbiVersion::V0_1_0 => "0.1.0",
        AbiVersion::V0_2_0 => "0.2.0",
        AbiVersion::V0_2_1 => "0.2.1",
    };
    let imports: Vec<ReportedImport> = subject
        .module
        .imports()
        .iter()
        .map(|import| ReportedImport { module: import.module.clone(), name: import.name.clone() })
        .collect();
    let loads = Line { check: "loads and links", verdict: Verdict::Passed, detail: format!("ABI {abi}") };
    // A module with an import that Envoy does not have fails to link above.
    let detail = format!("all {} imported functions exist", imports.len());
    let mut checks = vec![loads, Line { check: "imports are known", verdict: Verdict::Passed, detail }];
    for (check, run) in checks::ALL {
        let (verdict, detail) = match run(subject) {
            Ok(checks::Passed::Ok(detail)) => (Verdict::Passed, detail),
            Ok(checks::Passed::Warning(detail)) => (Verdict::Warning, detail),
            Err(error) => (Verdict::Failed, format!("{error:#}")),
        };
        let stop = check == checks::CONFIGURES && verdict == Verdict::Failed;
        checks.push(Line { check, verdict, detail });
        if stop {
            // Without a configured plugin every other check would fail in the same way.
            break;
        }
    }
    let passed = checks.iter().all(|line| line.verdict != Verdict::Failed);
    Report { module, abi: Some(abi), passed, checks, imports }
}

fn print(report: &Report) {
    let mut table = terminal::table();
    table.set_header(["check", "", "found"]);
    for line in &report.checks {
        let verdict = match line.verdict {
            Verdict::Passed => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        // One line per check; JSON has the whole backtrace of a trap.
        let detail = line.detail.lines().next().unwrap_or_default();
        table.add_row([line.check, verdict, detail]);
    }
    println!("{table}\n");
    let mut table = terminal::table();
    table.set_header(["import", "from"]);
    for import in &report.imports {
        table.add_row([import.name.as_str(), import.module.as_str()]);
    }
    if !report.imports.is_empty() {
        println!("{table}");
    }
    println!("{}: {}", report.module, if report.passed { "passed" } else { "FAILED" });
}
