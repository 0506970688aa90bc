//! One running host call: the guest's memory and the state behind it.

use wasmtime::Caller;

use crate::abi::host_functions::{HostFunctionId, Phase};
use crate::abi::status::Status;
use crate::guest::state::{Entry, VmState};

/// A pointer and length outside the guest's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfBounds;

/// How a host call fails.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The guest gets this number.
    Code(u32),
    /// The guest traps.
    Trap(wasmtime::Error),
}

impl From<Status> for Fail {
    fn from(status: Status) -> Self {
        Fail::Code(status as u32)
    }
}

impl From<OutOfBounds> for Fail {
    fn from(_: OutOfBounds) -> Self {
        Status::InvalidMemoryAccess.into()
    }
}

/// The guest's memory.
pub(crate) struct Guest<'a>(&'a mut [u8]);

impl Guest<'_> {
    /// A slice of the guest's memory, without a copy.
    pub(crate) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], OutOfBounds> {
        let end = (at as usize).checked_add(len as usize).ok_or(OutOfBounds)?;
        self.0.get(at as usize..end).ok_or(OutOfBounds)
    }
}

/// The result of a host function's body.
pub(crate) type Outcome = Result<(), Fail>;

/// The trap for a host function that may not be called in this phase.
pub(crate) fn restricted(name: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!(
        "restricted callback: {name} may not be called while the module starts or allocates"
    ))
}

/// Defines a host function: its module, its name, its parameters and its body.
macro_rules! hostcall {
    ($linker:expr, $module:expr, $name:expr, |$call:ident $(, $argument:ident: $type:ty)*| $body:expr) => {
        $linker.func_wrap(
            $module,
            $name,
            |caller: wasmtime::Caller<'_, $crate::guest::state::VmState>, $($argument: $type),*| {
                const FUNCTION: $crate::abi::host_functions::HostFunctionId =
                    $crate::abi::host_functions::HostFunctionId::of($name);
                $crate::guest::call::Call::run(caller, FUNCTION, |$call| $body)
            },
        )?
    };
}
pub(crate) use hostcall;

/// A running host call.
pub(crate) struct Call<'a> {
    caller: Caller<'a, VmState>,
}

impl Call<'_> {
    /// Runs the body of a host function and turns its outcome into what the guest gets.
    pub(crate) fn run(
        caller: Caller<'_, VmState>,
        function: HostFunctionId,
        body: impl FnOnce(&mut Call<'_>) -> Outcome,
    ) -> wasmtime::Result<u32> {
        let mut call = Call { caller };
        if !function.is_allowed_in(call.state().phase) {
            return Err(restricted(function.name()));
        }
        let status = match call.state_mut().enter_hostcall(function) {
            Entry::Crash => {
                return Err(wasmtime::Error::msg(format!("injected trap in {}", function.name())));
            }
            Entry::Status(status) => status,
            Entry::Go => match body(&mut call) {
                Ok(()) => 0,
                Err(Fail::Code(code)) => code,
                Err(Fail::Trap(trap)) => return Err(trap),
            },
        };
        call.state().leave_hostcall(status);
        Ok(status)
    }

    pub(crate) fn state(&self) -> &VmState {
        self.caller.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    /// The guest's memory and the VM's state, for functions that need no copy of their arguments.
    pub(crate) fn guest(&mut self) -> Result<(Guest<'_>, &mut VmState), OutOfBounds> {
        let memory = self.state().memory.ok_or(OutOfBounds)?;
        let (bytes, state) = memory.data_and_store_mut(&mut self.caller);
        Ok((Guest(bytes), state))
    }

    /// Copies bytes out of the guest.
    pub(crate) fn read(&self, at: u32, len: u32) -> Result<Vec<u8>, OutOfBounds> {
        let memory = self.state().memory.ok_or(OutOfBounds)?;
        let end = (at as usize).checked_add(len as usize).ok_or(OutOfBounds)?;
        memory.data(&self.caller).get(at as usize..end).map(<[u8]>::to_vec).ok_or(OutOfBounds)
    }

    /// Copies bytes into the guest.
    pub(crate) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let memory = self.state().memory.ok_or(OutOfBounds)?;
        memory.write(&mut self.caller, at as usize, bytes).map_err(|_| OutOfBounds)
    }

    pub(crate) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), OutOfBounds> {
        self.write(at, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), OutOfBounds> {
        self.write(at, &value.to_le_bytes())
    }

    /// Returns `value` to the guest in memory from the guest's own allocator. An empty value is a null pointer, which
    /// the Rust SDK expects for "no bytes".
    pub(crate) fn hand_over(&mut self, value: &[u8], at_pointer: u32, at_len: u32) -> Outcome {
        let pointer = self.copy_in(value)?;
        self.write_u32(at_pointer, pointer)?;
        self.write_u32(at_len, value.len() as u32)?;
        Ok(())
    }

    /// Copies bytes into memory from the guest's own allocator; a null pointer for no bytes.
    pub(crate) fn copy_in(&mut self, value: &[u8]) -> Result<u32, Fail> {
        if value.is_empty() {
            return Ok(0);
        }
        let allocate = self.state().allocate.clone().ok_or(OutOfBounds)?;
        let before = std::mem::replace(&mut self.state_mut().phase, Phase::Allocating);
        let allocated = allocate.call(&mut self.caller, value.len() as u32);
        self.state_mut().phase = before;
        let pointer = allocated.map_err(Fail::Trap)?;
        if pointer == 0 {
            return Err(OutOfBounds.into());
        }
        self.write(pointer, value)?;
        Ok(pointer)
    }
}
