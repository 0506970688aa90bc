//! The scripts in `tests/sdk/`, and how they are run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use seqroute_envoy::launcher::EnvoyBinary;
use serde::Deserialize;
use tokio::process::Command;

use super::gateway::Gateway;
use super::models::Provider;

/// A script must have ended by then.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A script: the cases of one library.
#[derive(Debug)]
pub struct Script {
    /// Its file.
    pub name: &'static str,
    provider: Provider,
}

/// All scripts.
pub const ALL: [Script; 6] = [
    Script { name: "openai_cases.py", provider: Provider::OpenAi },
    Script { name: "openai_responses_cases.py", provider: Provider::OpenAi },
    Script { name: "openai_cases.js", provider: Provider::OpenAi },
    Script { name: "anthropic_cases.py", provider: Provider::Anthropic },
    Script { name: "anthropic_cases.js", provider: Provider::Anthropic },
    Script { name: "google_genai_cases.py", provider: Provider::Google },
];

/// What a script says of one of its cases, a line of JSON each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The library, with its version.
    pub client: String,
    /// The API.
    pub api: String,
    /// The answers stream.
    pub streaming: bool,
    /// What the case is about.
    pub case: String,
    /// Its session, and its account at the model servers.
    pub session: String,
    /// What was not as asserted.
    pub error: Option<String>,
    /// Every answer was received to its end.
    pub whole: bool,
    /// How often a model server was to refuse.
    pub provider_refusals: usize,
    /// How often the filter was to refuse.
    pub gateway_refusals: usize,
}

impl Script {
    /// Runs the script and reads what it says.
    ///
    /// # Errors
    /// When it does not start, or does not come to its end.
    pub async fn play(&self, gateway: &Gateway) -> Result<Vec<Case>> {
        let mut command = Command::new(self.interpreter());
        command.arg(scripts_dir().join(self.name)).env("SDK_URL", gateway.url(self.provider)?);
        command.env("SDK_HOME", installed()).env("PYTHONPATH", installed().join("python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*").env("no_proxy", "*");
        for name in ["OPENAI", "ANTHROPIC", "GOOGLE", "GEMINI"] {
            for what in ["API_KEY", "BASE_URL"] {
                command.env_remove(format!("{name}_{what}"));
            }
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(TIMEOUT, command.output()).await;
        let output = output.with_context(|| format!("{} did not end", self.name))?;
        let output = output.with_context(|| format!("{} did not start", self.name))?;
        if !output.status.success() {
            bail!("{}: {}\n{}", self.name, output.status, String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let case = |line| serde_json::from_str(line).with_context(|| format!("{}: {line}", self.name));
        let cases: Vec<Case> = text.lines().map(case).collect::<Result<_>>()?;
        if cases.is_empty() {
            bail!("{} played no case", self.name);
        }
        Ok(cases)
    }

    fn interpreter(&self) -> &'static str {
        if self.name.ends_with(".py") { "python3" } else { "node" }
    }
}

fn scripts_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk")
}

/// Where `make sdk-install` puts the libraries.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sdk")
}

/// Why the scripts cannot be run here; `None` where they can.
#[must_use]
pub fn missing() -> Option<String> {
    if let Err(error) = EnvoyBinary::locate() {
        return Some(error.to_string());
    }
    // `sdk-install` leaves these out where Python 3.11, Node 20 or npm is missing, or a registry cannot be reached.
    for folder in ["python/openai", "node/node_modules/openai"] {
        if !installed().join(folder).is_dir() {
            return Some(format!("no target/sdk/{folder}: run `make sdk-install`, which says what it needs"));
        }
    }
    None
}
