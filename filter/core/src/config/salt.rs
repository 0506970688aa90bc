//! The secret that names are hashed with.
//!
//! It stands in the configuration, or the configuration names the environment variable that has it: Envoy's configuration
//! dump shows the configuration to everyone who reaches the admin page, and the environment to nobody. The core has no
//! environment; its caller passes one ([`Environment`]). A salt of a [`Config`](super::Config) always has its secret.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::faults::Faults;

/// Value of an environment variable; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fewest bytes of a salt.
const MIN_BYTES: usize = 8;

/// A secret text, and the variable that it came from.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct Salt {
    text: String,
    env: Option<String>,
}

/// A salt as a configuration writes it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "another value, expected a text or {\"env\": the name of a variable}")]
enum Written {
    Text(String),
    Variable(Variable),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    env: String,
}

impl From<Written> for Salt {
    fn from(written: Written) -> Salt {
        match written {
            Written::Text(text) => Salt { text, env: None },
            Written::Variable(Variable { env }) => Salt { text: String::new(), env: Some(env) },
        }
    }
}

impl Salt {
    /// The secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The environment variable that the configuration names, if it does.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.env.as_deref()
    }

    /// Fetches the secret of a named variable, and checks it.
    pub(super) fn resolve(&mut self, environment: Environment<'_>, faults: &mut Faults) {
        let Some(name) = &self.env else {
            return require_length("salt", &self.text, faults);
        };
        if !is_variable(name) {
            let expected = "the name of a variable: letters, digits and `_`, no digit first";
            return faults.add("salt.env", format_args!("`{name}`"), expected);
        }
        let Some(text) = environment(name) else {
            let expected = "it in Envoy's environment and in `host_env_keys` (`seqroute deploy`)";
            return faults.add("salt.env", format_args!("no variable `{name}`"), expected);
        };
        require_length("salt.env", &text, faults);
        self.text = text;
    }
}

fn require_length(field: &str, text: &str, faults: &mut Faults) {
    let bytes = text.len();
    let found = format_args!("{bytes} bytes");
    faults.require(bytes >= MIN_BYTES, field, found, "at least 8 bytes of secret text");
}

fn is_variable(name: &str) -> bool {
    let body = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    body && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}

impl Serialize for Salt {
    /// As it was written: a variable's secret is never written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.env {
            Some(env) => Variable { env: env.clone() }.serialize(serializer),
            None => self.text.serialize(serializer),
        }
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt(of {} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::{Config, ConfigError};
    use serde_json::{Value, json};

    fn read(salt: Value, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut value = example();
        value["salt"] = salt;
        Config::from_json_in(value.to_string().as_bytes(), environment)
    }

    fn one_variable(name: &str) -> Option<String> {
        (name == "SEQROUTE_SALT").then(|| "secret of a variable".to_owned())
    }

    #[test]
    fn a_salt_is_the_text_or_the_variable_that_is_named() {
        let text = read(json!("secret of a file"), &|_| None).unwrap().salt;
        assert_eq!((text.as_bytes(), text.variable()), (&b"secret of a file"[..], None));
        let variable = read(json!({"env": "SEQROUTE_SALT"}), &one_variable).unwrap().salt;
        assert_eq!(variable.as_bytes(), b"secret of a variable");
        assert_eq!(variable.variable(), Some("SEQROUTE_SALT"));
    }

    #[test]
    fn the_secret_of_a_variable_is_not_written_and_no_secret_is_printed() {
        let config = read(json!({"env": "SEQROUTE_SALT"}), &one_variable).unwrap();
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written["salt"], json!({"env": "SEQROUTE_SALT"}));
        let text = read(json!("secret of a file"), &|_| None).unwrap();
        for config in [config, text] {
            let printed = format!("{config:?}");
            assert!(printed.contains("Salt(of ") && !printed.contains("secret of"), "{printed}");
        }
    }

    #[test]
    fn a_salt_that_cannot_be_used_is_named_in_one_line() {
        let error = |salt: Value, environment: &dyn Fn(&str) -> Option<String>| {
            let error = read(salt, environment).unwrap_err();
            assert_eq!(error.faults().len(), 1, "{error}");
            error.to_string()
        };
        let named = || json!({"env": "SEQROUTE_SALT"});
        let missing = error(named(), &|_| None);
        assert!(missing.contains("`salt.env`: found no variable `SEQROUTE_SALT`, expected it"), "{missing}");
        let short = error(named(), &|_| Some("secret".to_owned()));
        assert!(
            short.contains("`salt.env`: found `6 bytes`, expected at least 8") && !short.contains("secret`")
        );
        for name in ["", "A=B", "1A", "A B", "a\nb"] {
            let error = error(json!({"env": name}), &|_| Some("long enough".to_owned()));
            assert!(error.contains("`salt.env`: found `") && error.lines().count() == 1, "{error}");
        }
        for shape in [json!(12_345_678), json!({"env": 1}), json!({"file": "x"}), json!({"env": "A", "b": 1})]
        {
            let error = error(shape, &one_variable);
            assert!(error.contains("`salt`: found another value, expected a text or"), "{error}");
        }
    }
}
