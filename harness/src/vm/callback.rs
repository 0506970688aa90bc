//! An exported function of a plugin, called with as many arguments as it takes.
//!
//! All callbacks of the ABI take and return 32-bit integers; their number differs between versions. The signatures of
//! the ABI are called without the checks and allocations of dynamically typed calls, because a stream makes several of
//! them. Anything else that a module exports under a callback's name is called dynamically, and traps if that fails.

use wasmtime::{AsContext, AsContextMut, Func, TypedFunc, Val, WasmParams, WasmResults};

/// A callback, by its signature.
pub(crate) enum Callback {
    None0(TypedFunc<(), ()>),
    None1(TypedFunc<u32, ()>),
    None2(TypedFunc<(u32, u32), ()>),
    None3(TypedFunc<(u32, u32, u32), ()>),
    None5(TypedFunc<(u32, u32, u32, u32, u32), ()>),
    Some1(TypedFunc<u32, u32>),
    Some2(TypedFunc<(u32, u32), u32>),
    Some3(TypedFunc<(u32, u32, u32), u32>),
    Any { function: Func, parameters: usize, results: usize },
}

impl Callback {
    /// Wraps `function` according to its signature.
    pub(crate) fn new(function: Func, store: impl AsContext) -> Self {
        fn typed<P: WasmParams, R: WasmResults>(
            function: &Func,
            store: &impl AsContext,
            wrap: fn(TypedFunc<P, R>) -> Callback,
        ) -> Option<Callback> {
            function.typed(store).ok().map(wrap)
        }
        let (function, store) = (&function, &store);
        let known = typed(function, store, Callback::None0)
            .or_else(|| typed(function, store, Callback::None1))
            .or_else(|| typed(function, store, Callback::None2))
            .or_else(|| typed(function, store, Callback::None3))
            .or_else(|| typed(function, store, Callback::None5))
            .or_else(|| typed(function, store, Callback::Some1))
            .or_else(|| typed(function, store, Callback::Some2))
            .or_else(|| typed(function, store, Callback::Some3));
        known.unwrap_or_else(|| {
            let ty = function.ty(store);
            let (parameters, results) = (ty.params().len(), ty.results().len());
            Callback::Any { function: *function, parameters, results }
        })
    }

    /// Calls it. Surplus arguments are left out, and missing ones are 0.
    pub(crate) fn call(
        &self,
        mut store: impl AsContextMut,
        arguments: &[u32],
    ) -> wasmtime::Result<Option<u32>> {
        let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
        match self {
            Callback::None0(function) => function.call(&mut store, ()).map(|()| None),
            Callback::None1(function) => function.call(&mut store, at(0)).map(|()| None),
            Callback::None2(function) => function.call(&mut store, (at(0), at(1))).map(|()| None),
            Callback::None3(function) => function.call(&mut store, (at(0), at(1), at(2))).map(|()| None),
            Callback::None5(function) => {
                function.call(&mut store, (at(0), at(1), at(2), at(3), at(4))).map(|()| None)
            }
            Callback::Some1(function) => function.call(&mut store, at(0)).map(Some),
            Callback::Some2(function) => function.call(&mut store, (at(0), at(1))).map(Some),
            Callback::Some3(function) => function.call(&mut store, (at(0), at(1), at(2))).map(Some),
            Callback::Any { function, parameters, results } => {
                let parameters: Vec<Val> =
                    (0..*parameters).map(|index| Val::I32(at(index).cast_signed())).collect();
                let mut given = vec![Val::I32(0); *results];
                function.call(&mut store, &parameters, &mut given)?;
                Ok(given.first().and_then(Val::i32).map(i32::cast_unsigned))
            }
        }
    }
}
