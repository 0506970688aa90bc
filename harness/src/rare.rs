//! Callbacks that Envoy 1.40 has and calls rarely or never, for plugins that export them all the same.
//!
//! proxy-wasm-cpp-host looks for these exports, and a host may call them. Envoy calls those for HTTP/2 metadata, when
//! metadata is allowed and comes, and neither of the others.

use crate::callouts::Delivered;
use crate::drive::Event;
use crate::error::Error;
use crate::plugin::Plugin;
use crate::step::Step;
use crate::stream::Stream;
use crate::stream_state::Direction;
use crate::sync::lock_vm;

impl Plugin {
    /// Calls `proxy_on_foreign_function` with the plugin's context; the plugin reads `data` from buffer 8. Envoy 1.40
    /// never calls it.
    pub fn foreign_function(&self, function: u32, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        let data = data.into();
        let mut core = lock_vm(&self.vm.core);
        let Some(root) = core.root(self.index) else {
            return Ok(());
        };
        let arguments = [root, function, data.len() as u32];
        core.deliver_data(root, "proxy_on_foreign_function", &arguments, Delivered::Data(data))
    }

    /// Calls `proxy_validate_configuration` with the configuration this plugin has; what it returned, or nothing when it
    /// is not exported. Envoy 1.40 never calls it.
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

impl Stream {
    /// The client sends HTTP/2 metadata with so many entries: `proxy_on_request_metadata`. The plugin cannot read them,
    /// and what it returns changes nothing here.
    pub fn request_metadata(&mut self, entries: u32) -> Result<Step, Error> {
        self.drive(Direction::Request, Event::Metadata(entries))
    }

    /// The upstream sends HTTP/2 metadata with so many entries: `proxy_on_response_metadata`.
    pub fn response_metadata(&mut self, entries: u32) -> Result<Step, Error> {
        self.drive(Direction::Response, Event::Metadata(entries))
    }
}
