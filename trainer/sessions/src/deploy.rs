//! From a plugin configuration to the file that Envoy watches.
//!
//! The filter's configuration, including the policy, is one ECDS resource: Envoy reloads it when the file is replaced.
//! It is validated by the code that will serve it ([`Engine::configure`]), and the file is replaced by a rename, never
//! changed in place.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use seqroute_core::config::{Config, GuardConfig};
use seqroute_core::engine::Engine;
use seqroute_core::policy::Policy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::books::{Reader, Summary};
use crate::error::{DataError, Invalid};
use crate::guard;
use crate::session::hex;

/// Digits of the hash in `version_info`.
const VERSION_DIGITS: usize = 16;
/// How the salt of the shipped plugin configuration begins.
const EXAMPLE_SALT: &str = "CHANGE-ME";

/// The plugin configuration with the policy embedded, validated as the filter does.
///
/// `config` is the configuration's JSON text, `policy` the archive for the strategy `policy`. If the configuration has no
/// guard, the one that the policy was trained with is added. A variable that the configuration names is checked where it is
/// set here; Envoy's environment may be another one, and the filter checks it again.
///
/// # Errors
/// The filter's own error.
pub fn plugin_config(config: &str, policy: Option<&[u8]>) -> Result<String, Invalid> {
    let refuse = |problem: &str| Invalid(format!("plugin configuration{problem}"));
    let mut value: Value = serde_json::from_str(config).map_err(|error| refuse(&format!(": {error}")))?;
    if let Some(policy) = policy {
        let Some(fields) = value.as_object_mut() else {
            return Err(refuse(": found no JSON object"));
        };
        if fields.contains_key("policy_b64") {
            return Err(refuse(", field `policy_b64`: found a policy, expected none next to a policy file"));
        }
        fields.insert("policy_b64".to_owned(), BASE64_STANDARD.encode(policy).into());
        // A policy that was trained with a guard chooses badly without it. An invalid archive is refused below.
        let trained = Policy::open(policy).and_then(|policy| guard::of(&policy)).unwrap_or_default();
        if trained != GuardConfig::default() && !fields.contains_key("guard") {
            fields.insert("guard".to_owned(), serde_json::to_value(trained)?);
        }
    }
    let text = value.to_string();
    check(&text)?;
    Ok(text)
}

/// The plugin configuration with what its sessions and tenants have spent according to these decision logs, oldest first.
///
/// # Errors
/// [`DataError`] for a log that cannot be read; the filter's own error.
pub fn with_books(
    plugin_config_json: &str,
    logs: &[PathBuf],
    now_ms: u64,
) -> Result<(String, Summary), DeployError> {
    let refuse = |error: &dyn std::fmt::Display| DeployError::Invalid(Invalid(error.to_string()));
    let config =
        Config::from_json_in(plugin_config_json.as_bytes(), &environment).map_err(|error| refuse(&error))?;
    let mut reader = Reader::new(&config, now_ms);
    for log in logs {
        reader.read(log)?;
    }
    let (books, summary) = reader.finish();
    let mut value: Value = serde_json::from_str(plugin_config_json).map_err(|error| refuse(&error))?;
    value["books_b64"] = BASE64_STANDARD.encode(books.to_bytes()).into();
    let text = value.to_string();
    check(&text).map_err(DeployError::Invalid)?;
    Ok((text, summary))
}

/// Why a configuration has no books.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] DataError),
    /// The filter would refuse the configuration.
    #[error(transparent)]
    Invalid(Invalid),
}

/// Refuses what the filter would refuse.
fn check(plugin_config_json: &str) -> Result<(), Invalid> {
    let checked = Engine::configure_in(plugin_config_json.as_bytes(), &environment);
    checked.map(drop).map_err(|error| Invalid(error.to_string()))
}

/// The variables of this process. One that is not set here may be set for Envoy.
#[expect(clippy::unnecessary_wraps, reason = "the core asks for an option")]
fn environment(name: &str) -> Option<String> {
    let elsewhere = || "a variable that only Envoy's environment has".to_owned();
    Some(std::env::var(name).unwrap_or_else(|_| elsewhere()))
}

/// The environment variables that a plugin configuration names, and that Envoy must therefore let its VM see.
fn variables(plugin_config_json: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(plugin_config_json).unwrap_or_default();
    value.pointer("/salt/env").and_then(Value::as_str).map(str::to_owned).into_iter().collect()
}

/// What is accepted but should not stay, one line each.
#[must_use]
pub fn warnings(plugin_config_json: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(plugin_config_json).unwrap_or_default();
    let example = value["salt"].as_str().is_some_and(|salt| salt.starts_with(EXAMPLE_SALT));
    let warning =
        "field `salt`: found the shipped example, which everyone knows, expected a secret of your own";
    example.then(|| warning.to_owned()).into_iter().collect()
}

/// The version of a plugin configuration, policy included: the first digits of its SHA-256.
#[must_use]
pub fn version(plugin_config_json: &str) -> String {
    hex(&Sha256::digest(plugin_config_json.as_bytes())).chars().take(VERSION_DIGITS).collect()
}

/// The ECDS resource of the filter: Envoy's Wasm filter with this module and configuration, which sees of Envoy's environment
/// only what the configuration names.
#[must_use]
pub fn resource(name: &str, vm_id: &str, wasm_path: &str, plugin_config_json: &str, version: &str) -> Value {
    let mut vm_config = json!({
        "vm_id": vm_id,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": wasm_path}},
    });
    let variables = variables(plugin_config_json);
    if !variables.is_empty() {
        vm_config["environment_variables"] = json!({"host_env_keys": variables});
    }
    json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": name,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "seqroute",
                    "root_id": "seqroute",
                    "allow_on_headers_stop_iteration": true,
                    "failure_policy": "FAIL_RELOAD",
                    "reload_config": {"backoff": {"base_interval": "0.02s", "max_interval": "1s"}},
                    "vm_config": vm_config,
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": plugin_config_json,
                    },
                },
            },
        }],
    })
}

/// Replaces the file at `path` with a resource, by a rename in its directory. It may have the salt, so only its owner can
/// read it ([`write_secret`](crate::files::write_secret)).
///
/// # Errors
/// The directory is not writable; the old file is then unchanged.
pub fn write_atomically(path: &Path, value: &Value) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    crate::files::write_secret(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::tiers;

    fn config(change: impl FnOnce(&mut Value)) -> String {
        let mut value = json!({
            "version": 1, "salt": "a secret of tests", "strategy": "best_affordable",
            "budget": {"default_usd": "0.05"}, "models": tiers(),
        });
        change(&mut value);
        value.to_string()
    }

    #[test]
    fn the_resource_carries_the_configuration_that_was_checked() {
        let text = plugin_config(&config(|_| {}), None).unwrap();
        let resource = resource("seqroute", "vm", "/etc/filter.wasm", &text, &version(&text));
        let inner = &resource["resources"][0]["typed_config"]["config"];
        assert_eq!(inner["configuration"]["value"], text);
        assert_eq!(inner["vm_config"]["code"]["local"]["filename"], "/etc/filter.wasm");
        assert_eq!(inner["vm_config"]["vm_id"], "vm");
        assert_eq!(resource["version_info"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn envoy_passes_the_variable_that_the_configuration_names_and_no_other() {
        let keys = |salt: Value| {
            let text = plugin_config(&config(|v| v["salt"] = salt), None).unwrap();
            let resource = resource("seqroute", "vm", "/etc/filter.wasm", &text, &version(&text));
            resource["resources"][0]["typed_config"]["config"]["vm_config"]["environment_variables"].clone()
        };
        // Cargo sets it; it is long enough.
        assert_eq!(
            keys(json!({"env": "CARGO_MANIFEST_DIR"})),
            json!({"host_env_keys": ["CARGO_MANIFEST_DIR"]})
        );
        assert_eq!(
            keys(json!({"env": "SEQROUTE_NOT_SET_HERE"})),
            json!({"host_env_keys": ["SEQROUTE_NOT_SET_HERE"]})
        );
        assert_eq!(keys(json!("a secret of tests")), Value::Null);
    }

    #[test]
    fn the_shipped_salt_is_warned_of() {
        let shipped = include_str!("../../../envoy/plugin.json");
        assert!(warnings(shipped)[0].starts_with("field `salt`: found the shipped example"));
        assert!(warnings(&config(|_| {})).is_empty());
        assert!(warnings(&config(|v| v["salt"] = json!({"env": "SEQROUTE_SALT"}))).is_empty());
    }

    #[test]
    fn what_the_filter_refuses_is_refused_here_in_one_line() {
        let cases = [
            (config(|v| v["salt"] = json!("short")), None, "`salt`"),
            (config(|v| v["salt"] = json!({"env": "A=B"})), None, "`salt.env`: found `A=B`"),
            (
                config(|v| v["salt"] = json!({"env": "CARGO_PKG_VERSION_MAJOR"})),
                None,
                "`salt.env`: found `1 bytes`",
            ),
            (config(|v| v["strategy"] = json!("policy")), None, "`policy_b64`: found nothing"),
            (config(|v| v["strategy"] = json!("policy")), Some(&b"no archive"[..]), "policy archive"),
            (config(|v| v["policy_b64"] = json!("AA==")), Some(&b"x"[..]), "`policy_b64`: found a policy"),
            ("{".to_owned(), None, "plugin configuration: "),
            ("[]".to_owned(), Some(&b"x"[..]), "no JSON object"),
        ];
        for (config, policy, expected) in cases {
            let error = plugin_config(&config, policy).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn the_version_follows_the_configuration() {
        let (one, other) = (config(|_| {}), config(|v| v["lambda"] = json!({"value": 1.0})));
        assert_eq!(version(&one), version(&one));
        assert_ne!(version(&one), version(&other));
    }
}
