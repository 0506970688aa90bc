//! Runs the command as a user does.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;
use std::process::{Command, Output};

/// The command, ready for arguments.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seqroute-harness"));
    command.env("SEQROUTE_WASM", wasm()).env_remove("NO_COLOR");
    command
}

/// The filter built by `make wasm`, or the one named by the environment.
pub fn wasm() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let path = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from);
    assert!(path.is_file(), "no filter at `{}`: run `make wasm`", path.display());
    path
}

/// Runs the command with these arguments.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("the command starts")
}

/// Standard output of a run that must succeed.
pub fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard output of a run that must succeed, as JSON.
pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(arguments)).expect("JSON")
}

/// The one line on stderr of a run that must fail.
pub fn error(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
