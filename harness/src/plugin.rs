//! A configured plugin of a VM: where streams come from.

use std::sync::Arc;

use crate::connection::TcpConnection;
use crate::error::Error;
use crate::stream::Stream;
use crate::sync::lock_vm;
use crate::vm::{Vm, VmShared};

/// A plugin that accepted its configuration. A changed configuration is a new plugin, as in Envoy: streams of
/// the old one go on with it.
pub struct Plugin {
    pub(crate) vm: Arc<VmShared>,
    pub(crate) index: usize,
}

impl Plugin {
    pub(crate) fn new(vm: Arc<VmShared>, index: usize) -> Self {
        Plugin { vm, index }
    }

    /// A new stream. If the VM has failed, the failure policy decides now whether it reloads, refuses or lets
    /// pass.
    pub fn stream(&self) -> Stream {
        Stream::open(Arc::clone(&self.vm), self.index)
    }

    /// A new TCP connection, for a plugin that is a network filter.
    pub fn connection(&self) -> TcpConnection {
        TcpConnection::new(Arc::clone(&self.vm), self.index)
    }

    /// The VM this plugin runs in.
    pub fn vm(&self) -> Vm {
        Vm::of(Arc::clone(&self.vm))
    }

    /// Ends the plugin, as a configuration update does once its last stream is gone: `proxy_on_done`, then
    /// `proxy_on_delete` at once or after the plugin called `proxy_done`.
    pub fn shutdown(self) -> Result<(), Error> {
        let mut core = lock_vm(&self.vm.core);
        let Some(root) = core.root(self.index).filter(|_| core.failure.is_none()) else {
            return Ok(());
        };
        let done = core.call(root, "proxy_on_done", &[root])?;
        if done == Some(0) {
            if let Some(context) = core.instance.state_mut().root_mut(root) {
                context.pending_done = true;
            }
        } else {
            core.delete_context(root)?;
        }
        core.run_deferred()
    }
}
