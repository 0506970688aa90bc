//! One life of one VM: an instantiated module and its callbacks.
//!
//! All callbacks are optional, and some have fewer parameters in ABI 0.1.0; both are resolved once, at start. Every
//! call sets the active context and resets the effective one.

use std::sync::Arc;

use wasmtime::{PoolConcurrencyLimitError, Store, Val};

use crate::abi::callbacks::CALLBACKS;
use crate::abi::host_functions::Phase;
use crate::guest::state::VmState;
use crate::vm::callback::Callback;
use crate::vm::module::Module;

/// The allocators, in order of preference. cpp-host prefers malloc, although the ABI text calls it deprecated.
const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// An instantiated module.
pub(crate) struct Instance {
    store: Store<VmState>,
    instance: wasmtime::Instance,
    /// So few that a linear search is faster than hashing a name.
    callbacks: Vec<(&'static str, Callback)>,
}

impl Instance {
    /// Instantiates `module` and runs its start functions.
    pub(crate) fn start(module: &Module, state: VmState) -> wasmtime::Result<Self> {
        let mut store = Store::new(module.engine(), state);
        store.limiter(|state| &mut state.limits);
        let instance = match (module.linked().instantiate(&mut store), module.spare()) {
            // The pool is full.
            (Err(error), Some(spare)) if error.is::<PoolConcurrencyLimitError>() => {
                return Instance::start(spare, store.into_data());
            }
            (instance, _) => instance?,
        };
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let allocate = ALLOCATORS
            .into_iter()
            .find_map(|name| instance.get_typed_func::<u32, u32>(&mut store, name).ok());
        store.data_mut().allocate = allocate.map(Arc::new);

        let mut callbacks = Vec::new();
        for name in CALLBACKS.iter().map(|callback| callback.name) {
            if let Some(function) = instance.get_func(&mut store, name) {
                callbacks.push((name, Callback::new(function, &store)));
            }
        }
        let mut instance = Instance { store, instance, callbacks };
        instance.state_mut().phase = Phase::Starting;
        if instance.has("_initialize") {
            instance.call(0, "_initialize", &[])?;
            let main = if instance.has("main") { "main" } else { "__main_void" };
            instance.call(0, main, &[0, 0])?;
        } else {
            instance.call(0, "_start", &[])?;
        }
        instance.state_mut().phase = Phase::Running;
        Ok(instance)
    }

    /// Whether the module exports this callback.
    pub(crate) fn has(&self, callback: &'static str) -> bool {
        self.callbacks.iter().any(|(name, _)| *name == callback)
    }

    /// Calls a callback with `context` active. Returns `None` if it is not exported or returns nothing.
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

    /// Whether the module exports a function of this name.
    pub(crate) fn exports(&mut self, name: &str) -> bool {
        self.instance.get_func(&mut self.store, name).is_some()
    }

    /// Calls an export other than a callback, with the VM's own context active.
    pub(crate) fn call_export(&mut self, name: &str, arguments: &[u32]) -> wasmtime::Result<Option<u32>> {
        let function = self.instance.get_func(&mut self.store, name);
        let function =
            function.ok_or_else(|| wasmtime::Error::msg("no function of this name is exported"))?;
        let state = self.store.data_mut();
        (state.current, state.effective, state.stop_iteration) = (0, 0, false);
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        // The allocator gets the same permissions as when the host calls it.
        if ALLOCATORS.contains(&name) {
            self.state_mut().phase = Phase::Allocating;
        }
        let outcome = function.call(&mut self.store, &arguments, &mut results);
        self.state_mut().phase = Phase::Running;
        outcome?;
        Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
    }

    pub(crate) fn state(&self) -> &VmState {
        self.store.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// Current size of the linear memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.state().memory.map(|memory| memory.data_size(&self.store)).unwrap_or_default()
    }
}
