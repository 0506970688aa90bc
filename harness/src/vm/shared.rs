//! A VM behind its lock, as the test's handles share it.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use crate::control::interleaving;
use crate::control::lock::lock;
use crate::control::options::VmOptions;
use crate::guest::call_counts::Counts;
use crate::guest::logs::Records;
use crate::guest::process::HostShared;
use crate::vm::error::Error;
use crate::vm::lifecycle::VmCore;
use crate::vm::module::Module;

/// A VM, shared by the handles on it, its plugins and its streams.
pub(crate) struct VmShared {
    pub(crate) host: Arc<HostShared>,
    pub(crate) core: Mutex<VmCore>,
    pub(crate) records: Arc<Mutex<Records>>,
    pub(crate) counts: Arc<Counts>,
}

impl VmShared {
    /// Starts the first life of a VM.
    pub(crate) fn start(
        host: Arc<HostShared>,
        module: Module,
        options: VmOptions,
    ) -> Result<Arc<Self>, Error> {
        let shared_data = host.shared_data(&options.vm_id);
        let core = VmCore::start(Arc::clone(&host), module, options, shared_data)?;
        let (records, counts) = (Arc::clone(&core.records), Arc::clone(&core.counts));
        Ok(Arc::new(VmShared { host, core: Mutex::new(core), records, counts }))
    }
}

/// Locks the core of a VM, which stays locked while its guest runs. A task of an interleaving that finds it locked lets
/// the others run, because the holder may be one of them, waiting for its turn.
pub(crate) fn lock_vm<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if interleaving::wait_for_others() => {}
            Err(TryLockError::WouldBlock) => return lock(mutex),
        }
    }
}
