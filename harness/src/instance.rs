//! One life of one VM: an instantiated module and its callbacks.
//!
//! All callbacks are optional, and ABI 0.1.0 has fewer parameters for some; both are settled once, at start.
//! A call sets the active context first, as every callback begins with a fresh effective context.

use std::sync::Arc;

use wasmtime::Store;

use crate::callback::Callback;
use crate::module::Module;
use crate::state::VmState;

/// Exports the host may call after start.
const CALLBACKS: [&str; 18] = [
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "_initialize",
    "main",
    "_start",
];

/// An instantiated module.
pub(crate) struct Instance {
    store: Store<VmState>,
    /// Few enough that looking through them is quicker than hashing a name.
    callbacks: Vec<(&'static str, Callback)>,
}

impl Instance {
    /// Instantiates `module` and runs its start functions.
    pub(crate) fn start(module: &Module, state: VmState) -> wasmtime::Result<Self> {
        let mut store = Store::new(module.engine(), state);
        store.limiter(|state| &mut state.limits);
        let instance = module.linked().instantiate(&mut store)?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        // cpp-host prefers malloc, although the ABI text calls it deprecated.
        let allocate = ["malloc", "proxy_on_memory_allocate"]
            .into_iter()
            .find_map(|name| instance.get_typed_func::<u32, u32>(&mut store, name).ok());
        store.data_mut().allocate = allocate.map(Arc::new);

        let mut callbacks = Vec::new();
        for name in CALLBACKS {
            if let Some(function) = instance.get_func(&mut store, name) {
                callbacks.push((name, Callback::new(function, &store)));
            }
        }
        let mut instance = Instance { store, callbacks };
        if instance.has("_initialize") {
            instance.call(0, "_initialize", &[])?;
            instance.call(0, "main", &[0, 0])?;
        } else {
            instance.call(0, "_start", &[])?;
        }
        Ok(instance)
    }

    /// Whether the module exports this callback.
    pub(crate) fn has(&self, callback: &'static str) -> bool {
        self.callbacks.iter().any(|(name, _)| *name == callback)
    }

    /// Calls a callback with `context` active; nothing happens, and nothing is returned, when it is not
    /// exported.
    pub(crate) fn call(
        &mut self,
        context: u32,
        callback: &'static str,
        arguments: &[u32],
    ) -> wasmtime::Result<Option<u32>> {
        let Some((_, found)) = self.callbacks.iter().find(|(name, _)| *name == callback) else {
            return Ok(None);
        };
        let state = self.store.data_mut();
        state.current = context;
        state.effective = 0;
        state.stop_iteration = false;
        found.call(&mut self.store, arguments)
    }

    pub(crate) fn state(&self) -> &VmState {
        self.store.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// Linear memory in use.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.state().memory.map(|memory| memory.data_size(&self.store)).unwrap_or_default()
    }
}
