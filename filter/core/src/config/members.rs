//! What a request's body may ask for besides the model and its prompt.

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// Longest name that can be configured.
const MAX_NAME_BYTES: usize = 40;

/// Members of a body by which a server bills more than the filter has reserved, or does something else than was decided.
///
/// Names are compared without regard to case, `_` and `-`; one that ends in `*` stands for all that begin like it.
/// [`crate::body::members::lists::REFUSED`] lists the members that are refused without any setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MembersConfig {
    /// Further members that a server obeys as output limits; they are lowered like the known ones.
    pub limits: Vec<String>,
    /// Further members that are refused.
    pub refuse: Vec<String>,
    /// Members of the built-in list that are not refused.
    pub allow: Vec<String>,
    /// Types of tools that servers run and bill, which are nevertheless allowed.
    pub allow_tools: Vec<String>,
    /// State that the provider keeps under an id.
    pub stored_state: StoredState,
}

/// What happens to requests that refer to state kept by the provider, or ask for it to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredState {
    /// References are refused and `store` becomes `false`: a client that knows an id could read what the operator's key has
    /// stored for others, and what it refers to is input that the filter has not seen.
    #[default]
    Refuse,
    /// They pass. A reference is taken for a whole context of input.
    Allow,
}

impl MembersConfig {
    pub(super) fn check(&self, faults: &mut Faults) {
        let lists = [
            ("limits", &self.limits),
            ("refuse", &self.refuse),
            ("allow", &self.allow),
            ("allow_tools", &self.allow_tools),
        ];
        for (list, names) in lists {
            for (k, name) in names.iter().enumerate() {
                let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
                let ok = fits && name.bytes().all(|byte| byte.is_ascii_graphic());
                let field = format_args!("members.{list}[{k}]");
                faults.require(ok, field, name, "1 to 40 printable ASCII characters");
            }
            let count = names.len();
            faults.require(count <= 256, format_args!("members.{list}"), count, "at most 256 names");
        }
    }
}
