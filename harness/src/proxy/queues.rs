//! Shared queues: named by vm_id and queue name, used by token, common to all VMs of a host.
//!
//! Registering a name twice returns the same queue and keeps its items; the last registrant is notified of new items.
//! In Envoy that happens on the registrant's own thread; here each VM has a mailbox that the test empties with
//! [`crate::Vm::run_queue_events`], so a VM runs only when the test calls it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use crate::abi::status::Status;
use crate::control::lock::lock;

/// All shared queues of one host; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<(Vec<u8>, Vec<u8>), u32>,
    queues: BTreeMap<u32, Queue>,
    last_token: u32,
    mailboxes: HashMap<u64, VecDeque<QueueReady>>,
}

#[derive(Debug)]
struct Queue {
    items: VecDeque<Vec<u8>>,
    owner: Registrant,
}

/// The root context that is notified of new items, in one life of one VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registrant {
    pub(crate) vm_serial: u64,
    pub(crate) generation: u64,
    pub(crate) root: u32,
}

/// A pending call of `proxy_on_queue_ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueReady {
    pub(crate) owner: Registrant,
    pub(crate) token: u32,
}

impl Queues {
    /// The items that wait in a queue.
    pub fn items(&self, vm_id: &str, name: &str) -> Vec<Vec<u8>> {
        let inner = lock(&self.inner);
        let key = (vm_id.as_bytes().to_vec(), name.as_bytes().to_vec());
        let queue = inner.tokens.get(&key).and_then(|token| inner.queues.get(token));
        queue.map(|queue| queue.items.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn register(&self, vm_id: &[u8], name: &[u8], owner: Registrant) -> u32 {
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let token = *inner.tokens.entry((vm_id.to_vec(), name.to_vec())).or_insert_with(|| {
            inner.last_token += 1;
            inner.last_token
        });
        inner.queues.entry(token).or_insert_with(|| Queue { items: VecDeque::new(), owner }).owner = owner;
        token
    }

    pub(crate) fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
        let key = (vm_id.to_vec(), name.to_vec());
        lock(&self.inner).tokens.get(&key).copied().ok_or(Status::NotFound)
    }

    pub(crate) fn enqueue(&self, token: u32, item: Vec<u8>) -> Result<(), Status> {
        let mut inner = lock(&self.inner);
        let queue = inner.queues.get_mut(&token).ok_or(Status::NotFound)?;
        queue.items.push_back(item);
        let event = QueueReady { owner: queue.owner, token };
        inner.mailboxes.entry(event.owner.vm_serial).or_default().push_back(event);
        Ok(())
    }

    pub(crate) fn dequeue(&self, token: u32) -> Result<Vec<u8>, Status> {
        let mut inner = lock(&self.inner);
        let queue = inner.queues.get_mut(&token).ok_or(Status::NotFound)?;
        queue.items.pop_front().ok_or(Status::Empty)
    }

    pub(crate) fn next_event(&self, vm_serial: u64) -> Option<QueueReady> {
        lock(&self.inner).mailboxes.get_mut(&vm_serial)?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(vm_serial: u64) -> Registrant {
        Registrant { vm_serial, generation: 0, root: 1 }
    }

    #[test]
    fn a_queue_is_first_in_first_out_and_unknown_differs_from_empty() {
        let queues = Queues::default();
        assert_eq!(queues.resolve(b"vm", b"q"), Err(Status::NotFound));
        assert_eq!(queues.enqueue(1, vec![]), Err(Status::NotFound));
        let token = queues.register(b"vm", b"q", owner(1));
        assert_eq!(queues.dequeue(token), Err(Status::Empty));
        queues.enqueue(token, b"a".to_vec()).unwrap();
        queues.enqueue(token, b"b".to_vec()).unwrap();
        assert_eq!(queues.items("vm", "q"), [b"a", b"b"]);
        assert_eq!(queues.dequeue(token).unwrap(), b"a");
    }

    #[test]
    fn registering_again_keeps_items_and_moves_the_notifications() {
        let queues = Queues::default();
        let token = queues.register(b"vm", b"q", owner(1));
        queues.enqueue(token, b"a".to_vec()).unwrap();
        assert_eq!(queues.register(b"vm", b"q", owner(2)), token);
        queues.enqueue(token, b"b".to_vec()).unwrap();
        assert_eq!(queues.items("vm", "q").len(), 2);
        assert_eq!(queues.next_event(1).unwrap().owner, owner(1));
        assert_eq!(queues.next_event(1), None);
        assert_eq!(queues.next_event(2).unwrap().token, token);
    }

    #[test]
    fn the_same_name_under_another_vm_id_is_another_queue() {
        let queues = Queues::default();
        assert_ne!(queues.register(b"a", b"q", owner(1)), queues.register(b"b", b"q", owner(1)));
    }
}
