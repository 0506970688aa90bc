//! Name resolution, an extension of Envoy. The query is only recorded; the test answers it.

use wasmtime::Linker;

use crate::guest::call::hostcall;
use crate::guest::state::VmState;
use crate::proxy::callouts::DnsQuery;

pub(super) fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    hostcall!(linker, "env", "envoy_resolve_dns", |call, name: u32, name_len: u32, out: u32| {
        let name = String::from_utf8_lossy(&call.read(name, name_len)?).into_owned();
        let token = call.state_mut().callouts.next_dns_token();
        call.write_u32(out, token)?;
        let state = call.state_mut();
        let root = state.active_root();
        state.callouts.dns.insert(token, DnsQuery { token, name, root });
        Ok(())
    });
    Ok(())
}
