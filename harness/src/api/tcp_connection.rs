//! One TCP connection, as the test plays it.
//!
//! The test plays the client, the upstream, and the next filter (Envoy's `tcp_proxy`). Callbacks are those of Envoy's
//! network filter:
//!
//! - Opening calls `proxy_on_new_connection`. Pause there keeps the next filter from starting, but data still
//!   arrives, and the next data callback decides again.
//! - Data that the plugin holds back accumulates, and each callback sees all of it.
//! - The upstream's last byte calls `proxy_on_upstream_connection_close` with an unknown peer (0).
//! - The end of the client's connection calls `proxy_on_downstream_connection_close`, then `proxy_on_done`,
//!   `proxy_on_log` and `proxy_on_delete`. This order differs from that of an HTTP stream.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::abi::action::Action;
use crate::abi::closed_by::ClosedBy;
use crate::control::lock::lock;
use crate::control::options::FailurePolicy;
use crate::guest::contexts::Context;
use crate::proxy::tcp_stream::{ConnectionState, SharedConnection, Source};
use crate::vm::error::Error;
use crate::vm::lifecycle::{Admission, VmCore};
use crate::vm::shared::{VmShared, lock_vm};

/// The peer that the plugin gets when the upstream closes, because Envoy does not know which side closed.
const UNKNOWN_CLOSER: u32 = 0;

/// One TCP connection through a plugin.
///
/// End it with [`TcpConnection::close`]; [`crate::Host::leaked_streams`] counts connections that are merely dropped.
pub struct TcpConnection {
    vm: Arc<VmShared>,
    state: SharedConnection,
    admission: Admission,
    opened: bool,
}

impl TcpConnection {
    pub(crate) fn new(vm: Arc<VmShared>, plugin: usize) -> Self {
        let state: SharedConnection = Arc::new(Mutex::new(ConnectionState::default()));
        let connection = Arc::clone(&state);
        let context = |root| Context::Connection { root, connection };
        let admission = lock_vm(&vm.core).admit(plugin, context);
        TcpConnection { vm, state, admission, opened: false }
    }

    /// The client connects: `proxy_on_context_create`, `proxy_on_new_connection`.
    pub fn open(&mut self) -> Result<Action, Error> {
        if std::mem::replace(&mut self.opened, true) {
            return Err(Error::Misuse("the connection is open already"));
        }
        let action = self.drive(|core, context| {
            let root = core.instance.state().root_of(context);
            core.call(context, "proxy_on_context_create", &[context, root])?;
            core.run_deferred()?;
            core.call(context, "proxy_on_new_connection", &[context])
        })?;
        if action == Action::Continue {
            lock(&self.state).connected = true;
        }
        Ok(action)
    }

    /// The client sends data. `end_of_stream`: it sends nothing more.
    pub fn downstream_data(&mut self, data: impl AsRef<[u8]>, end_of_stream: bool) -> Result<Action, Error> {
        self.data(Source::Downstream, data.as_ref(), end_of_stream)
    }

    /// The upstream sends data. `end_of_stream`: it sends nothing more.
    pub fn upstream_data(&mut self, data: impl AsRef<[u8]>, end_of_stream: bool) -> Result<Action, Error> {
        if !lock(&self.state).connected {
            return Err(Error::Misuse("the upstream is not connected yet"));
        }
        let action = self.data(Source::Upstream, data.as_ref(), end_of_stream)?;
        if end_of_stream && !self.is_closed() {
            self.drive(|core, context| {
                let arguments = [context, UNKNOWN_CLOSER];
                core.call(context, "proxy_on_upstream_connection_close", &arguments)
            })?;
        }
        Ok(action)
    }

    /// The client's connection ends: `proxy_on_downstream_connection_close`, `proxy_on_done`, `proxy_on_log`,
    /// `proxy_on_delete`. A connection that the plugin closed has already ended.
    pub fn close(&mut self, by: ClosedBy) -> Result<(), Error> {
        if lock(&self.state).closed {
            return Err(Error::Misuse("the connection has ended already"));
        }
        let mut core = lock_vm(&self.vm.core);
        match self.admission {
            Admission::Attached(place) if core.reaches(place) && self.opened => {
                core.end_connection(place.context, &self.state, by)?;
                core.run_deferred()
            }
            _ => {
                lock(&self.state).closed = true;
                Ok(())
            }
        }
    }

    /// Sets a property the plugin can read, such as `["source", "address"]`. Values are bytes as Envoy serialises
    /// them: text as it is, integers as eight little-endian bytes.
    pub fn set_property(&mut self, path: &[&str], value: impl AsRef<[u8]>) {
        lock(&self.state).properties.set(path, value.as_ref());
    }

    /// Whether the next filter, which connects to the upstream, has started.
    pub fn is_connected(&self) -> bool {
        lock(&self.state).connected
    }

    /// Whether the client's connection is closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// What was forwarded to the upstream so far.
    pub fn upstream_received(&self) -> Vec<u8> {
        lock(&self.state).flow(Source::Downstream).sent.concat()
    }

    /// Whether the end of the client's data was forwarded to the upstream.
    pub fn upstream_received_end(&self) -> bool {
        lock(&self.state).flow(Source::Downstream).sent_end
    }

    /// What the client got so far.
    pub fn client_received(&self) -> Vec<u8> {
        lock(&self.state).flow(Source::Upstream).sent.concat()
    }

    /// Whether the end of the upstream's data was forwarded to the client.
    pub fn client_received_end(&self) -> bool {
        lock(&self.state).flow(Source::Upstream).sent_end
    }

    /// What the plugin wrote with `proxy_set_property` under `name`.
    pub fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.state).properties.filter_state(name.as_bytes()).map(<[u8]>::to_vec)
    }

    /// What the plugin wrote with foreign function `set_envoy_filter_state` under `name`, such as
    /// `envoy.tcp_proxy.cluster`.
    pub fn envoy_filter_state(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.state).properties.envoy_filter_state(name).map(<[u8]>::to_vec)
    }

    /// The callbacks that were called for this connection, in order.
    pub fn callbacks(&self) -> Vec<&'static str> {
        lock(&self.state).callbacks.clone()
    }

    fn data(&mut self, source: Source, data: &[u8], end: bool) -> Result<Action, Error> {
        if !self.opened {
            return Err(Error::Misuse("data before the connection is open"));
        }
        let visible = {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(Error::Misuse("data after the connection has ended"));
            }
            let flow = state.flow(source);
            if flow.ended {
                return Err(Error::Misuse("more data after the end of the stream"));
            }
            flow.begin(data, end) as u32
        };
        let state = Arc::clone(&self.state);
        self.drive(|core, context| {
            let arguments = [context, visible, u32::from(end)];
            let returned = core.call(context, source.callback(), &arguments)?;
            settle(&mut lock(&state), source, returned.unwrap_or(0) == 0);
            Ok(returned)
        })
        .inspect(|_| {
            if matches!(self.admission, Admission::Bypassed) {
                settle(&mut lock(&self.state), source, true);
            }
        })
    }

    /// Runs callbacks for the connection, and the effects they request. A trap, or a VM that has failed, closes the
    /// connection or lets it pass without the plugin, depending on the failure policy.
    fn drive(
        &mut self,
        callbacks: impl FnOnce(&mut VmCore, u32) -> Result<Option<u32>, Error>,
    ) -> Result<Action, Error> {
        let vm = Arc::clone(&self.vm);
        let mut core = lock_vm(&vm.core);
        let place = match self.admission {
            Admission::Attached(place) if core.reaches(place) => place,
            Admission::Bypassed => return Ok(Action::Continue),
            Admission::Attached(_) if core.options.failure_policy == FailurePolicy::Open => {
                self.admission = Admission::Bypassed;
                return Ok(Action::Continue);
            }
            Admission::Attached(_) | Admission::Refused => {
                lock(&self.state).closed = true;
                return Ok(Action::Pause);
            }
        };
        let outcome = callbacks(&mut core, place.context)
            .and_then(|returned| core.run_deferred().map(|()| returned.unwrap_or(0)));
        match outcome {
            Ok(0) => Ok(Action::Continue),
            Ok(_) => Ok(Action::Pause),
            Err(error) => {
                if core.options.failure_policy == FailurePolicy::Open {
                    self.admission = Admission::Bypassed;
                    let mut state = lock(&self.state);
                    state.connected = true;
                    state.flow(Source::Downstream).release();
                    state.flow(Source::Upstream).release();
                } else {
                    lock(&self.state).closed = true;
                }
                Err(error)
            }
        }
    }
}

/// Forwards or keeps the bytes, as the data callback decided.
fn settle(state: &mut ConnectionState, source: Source, pass: bool) {
    if !pass {
        return state.flow(source).keep();
    }
    state.flow(source).release();
    state.connected = true;
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        if self.opened && !lock(&self.state).closed {
            self.vm.host.leaked_streams.fetch_add(1, Ordering::SeqCst);
        }
    }
}
