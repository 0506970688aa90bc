//! Foreign functions that a test registers for its plugins.
//!
//! Those of Envoy are in `hostcalls::foreign`; a function registered here replaces one of the same name there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::control::lock::lock;

/// One call of a foreign function.
#[derive(Clone, Copy, Debug)]
pub struct ForeignCall<'a> {
    /// The vm_id of the calling VM.
    pub vm_id: &'a str,
    /// The root id of the calling plugin.
    pub root_id: &'a str,
    /// The argument bytes, unparsed.
    pub arguments: &'a [u8],
}

type Function = Arc<dyn Fn(ForeignCall<'_>) -> Result<Vec<u8>, u32> + Send + Sync>;

/// The functions registered with one host.
#[derive(Default)]
pub(crate) struct ForeignFunctions {
    functions: Mutex<HashMap<Vec<u8>, Function>>,
}

impl ForeignFunctions {
    pub(crate) fn register(
        &self,
        name: &str,
        function: impl Fn(ForeignCall<'_>) -> Result<Vec<u8>, u32> + Send + Sync + 'static,
    ) {
        lock(&self.functions).insert(name.as_bytes().to_vec(), Arc::new(function));
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Function> {
        lock(&self.functions).get(name).cloned()
    }
}

impl fmt::Debug for ForeignFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(lock(&self.functions).keys().map(|name| name.escape_ascii().to_string()))
            .finish()
    }
}
