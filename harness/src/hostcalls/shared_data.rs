//! Shared data.

use wasmtime::Linker;

use crate::abi::status::Status;
use crate::guest::call::hostcall;
use crate::guest::state::VmState;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(
        linker,
        "env",
        "proxy_get_shared_data",
        |call, key: u32, key_len: u32, out: u32, out_len: u32, out_cas: u32| {
            let (guest, state) = call.guest()?;
            let key = guest.bytes(key, key_len)?;
            let (value, cas) = state.shared.get_shared(key).ok_or(Status::NotFound)?;
            call.hand_over(&value, out, out_len)?;
            Ok(call.write_u32(out_cas, cas)?)
        }
    );
    hostcall!(
        linker,
        "env",
        "proxy_set_shared_data",
        |call, key: u32, key_len: u32, value: u32, value_len: u32, cas: u32| {
            let (guest, state) = call.guest()?;
            let (key, value) = (guest.bytes(key, key_len)?, guest.bytes(value, value_len)?);
            Ok(state.shared.set(key, value, cas).map_err(|_| Status::CasMismatch)?)
        }
    );
    Ok(())
}
