//! A configured plugin of a VM: where streams come from.

use std::sync::Arc;

use crate::api::stream::Stream;
use crate::api::tcp_connection::TcpConnection;
use crate::api::vm::Vm;
use crate::proxy::callouts::Delivered;
use crate::vm::error::{ConfigureError, Error};
use crate::vm::shared::{VmShared, lock_vm};

/// A plugin that accepted its configuration. As in Envoy, another configuration is another plugin, and streams of the
/// old one keep it.
pub struct Plugin {
    pub(crate) vm: Arc<VmShared>,
    pub(crate) index: usize,
}

impl Plugin {
    pub(crate) fn new(vm: Arc<VmShared>, index: usize) -> Self {
        Plugin { vm, index }
    }

    /// A new stream. If the VM has failed, the failure policy decides now whether the VM is reloaded, or the stream
    /// refused or passed without the plugin.
    pub fn stream(&self) -> Stream {
        Stream::open(Arc::clone(&self.vm), self.index)
    }

    /// A new TCP connection, for a plugin used as a network filter.
    pub fn connection(&self) -> TcpConnection {
        TcpConnection::new(Arc::clone(&self.vm), self.index)
    }

    /// The VM this plugin runs in.
    pub fn vm(&self) -> Vm {
        Vm::of(Arc::clone(&self.vm))
    }

    /// Ends the plugin, as a configuration update does after its last stream: `proxy_on_done`, then
    /// `proxy_on_delete`, at once or after the plugin has called `proxy_done`.
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

    /// Calls `proxy_on_foreign_function`, which Envoy 1.40 never does; the plugin reads `data` from buffer 8.
    pub fn foreign_function(&self, function: u32, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        let data = data.into();
        let mut core = lock_vm(&self.vm.core);
        let Some(root) = core.root(self.index) else {
            return Ok(());
        };
        let arguments = [root, function, data.len() as u32];
        core.deliver_data(root, "proxy_on_foreign_function", &arguments, Delivered::Data(data))
    }

    /// Calls `proxy_validate_configuration`, which Envoy 1.40 never does. Returns its result, or `None` if the module
    /// does not export it.
    pub fn validate_configuration(&self) -> Result<Option<bool>, Error> {
        let mut core = lock_vm(&self.vm.core);
        let Some(root) = core.root(self.index) else {
            return Ok(None);
        };
        let configuration = core.configuration(self.index);
        let len = configuration.len() as u32;
        core.instance.state_mut().configuration = Some(configuration);
        let outcome = core.call(root, "proxy_validate_configuration", &[root, len]);
        core.instance.state_mut().configuration = None;
        let returned = outcome?;
        core.run_deferred()?;
        Ok(returned.map(|returned| returned != 0))
    }
}

impl Vm {
    /// Starts and configures a plugin in this VM. A failed VM is reloaded first if its failure policy allows that;
    /// otherwise the plugin is refused (in Envoy it would get a new VM).
    pub fn plugin(&self, root_id: &str, configuration: impl AsRef<[u8]>) -> Result<Plugin, ConfigureError> {
        let index = lock_vm(&self.shared.core).add_plugin(root_id, configuration.as_ref())?;
        Ok(Plugin::new(Arc::clone(&self.shared), index))
    }
}
