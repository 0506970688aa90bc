//! One life of one VM: an instantiated module and its callbacks.
//!
//! All callbacks are optional, and ABI 0.1.0 has fewer parameters for some; both are settled once, at start.
//! A call sets the active context first, as every callback begins with a fresh effective context.

use std::collections::HashMap;

use wasmtime::{Func, Store, Val};

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

struct Callback {
    function: Func,
    parameters: usize,
    results: usize,
}

/// An instantiated module.
pub(crate) struct Instance {
    store: Store<VmState>,
    callbacks: HashMap<&'static str, Callback>,
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
        store.data_mut().allocate = allocate;

        let mut callbacks = HashMap::new();
        for name in CALLBACKS {
            let Some(function) = instance.get_func(&mut store, name) else {
                continue;
            };
            let ty = function.ty(&store);
            let (parameters, results) = (ty.params().len(), ty.results().len());
            callbacks.insert(name, Callback { function, parameters, results });
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
        self.callbacks.contains_key(callback)
    }

    /// Calls a callback with `context` active; nothing happens, and nothing is returned, when it is not
    /// exported.
    pub(crate) fn call(
        &mut self,
        context: u32,
        callback: &'static str,
        arguments: &[u32],
    ) -> wasmtime::Result<Option<u32>> {
        let Some(found) = self.callbacks.get(callback) else {
            return Ok(None);
        };
        let state = self.store.data_mut();
        state.current = context;
        state.effective = 0;
        state.stop_iteration = false;
        let mut parameters = [const { Val::I32(0) }; 8];
        let count = found.parameters.min(parameters.len());
        for (parameter, argument) in parameters.iter_mut().zip(arguments) {
            *parameter = Val::I32(argument.cast_signed());
        }
        let mut results = [const { Val::I32(0) }; 1];
        let result_count = found.results.min(1);
        found.function.call(&mut self.store, &parameters[..count], &mut results[..result_count])?;
        Ok(results.first().filter(|_| result_count == 1).and_then(Val::i32).map(i32::cast_unsigned))
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
