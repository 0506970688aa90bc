//! Tests of the conversations of a session.

use super::*;
use crate::config::LedgerConfig;
use crate::counters::Counts;
use crate::ledger::sessions::SessionTable;
use crate::ledger::sessions::bucket::Owner;
use crate::ledger::store::MemoryStore;
use crate::ledger::view::{Booking, Namespace};
use crate::money::NanoUsd;
use crate::request::session_id::SessionId;

/// Two sessions of one bucket, of which the second is there for its places.
struct World {
    store: MemoryStore,
    config: LedgerConfig,
    now_ms: u64,
}

impl World {
    fn new() -> World {
        let config = LedgerConfig { buckets: 1, sessions_per_bucket: 2, ..LedgerConfig::default() };
        World { store: MemoryStore::default(), config, now_ms: 1000 }
    }

    fn see(&self, session: u8, conversation: Conversation) -> SessionView {
        self.open(session, conversation).view
    }

    fn open(&self, session: u8, conversation: Conversation) -> crate::ledger::sessions::OpenSession {
        let table = SessionTable::new(&self.store, &self.config, Namespace::Real);
        let (id, counts) = (SessionId([session; 16]), &mut Counts::default());
        table.open(id, conversation, NanoUsd(1_000_000), || Owner(1), self.now_ms, counts).unwrap()
    }

    fn turn(&mut self, session: u8, conversation: Conversation, model: u8, prompt_tokens: u64) {
        let open = self.open(session, conversation);
        let (table, counts) =
            (SessionTable::new(&self.store, &self.config, Namespace::Real), &mut Counts::default());
        let (id, name) = (open.id(), open.conversation);
        let number = table.hold(open, NanoUsd(10), self.now_ms, counts).unwrap().unwrap();
        let cost = NanoUsd(10);
        let turn = SettledTurn {
            cost,
            model,
            prompt_tokens,
            body_bytes: 4 * prompt_tokens,
            warm_tokens: 0,
            output_tokens: 1,
        };
        table.end_in((id, name), number, Booking::Settle(turn), self.now_ms, counts).unwrap();
    }
}

const MAIN: Conversation = Conversation { start: 1, system: 7 };
const SIDE: Conversation = Conversation { start: 2, system: 8 };

#[test]
fn a_side_call_shares_the_money_and_nothing_else() {
    let mut world = World::new();
    world.turn(1, MAIN, 2, 40_000);
    world.turn(1, SIDE, 0, 500);
    let main = world.see(1, MAIN);
    assert_eq!((main.last_model, main.last_prompt_tokens, main.idle_ms), (Some(2), 40_000, Some(0)));
    assert_eq!((main.spent, main.turns), (NanoUsd(20), 2));
    assert_eq!(world.see(1, SIDE).last_model, Some(0));
    let new = world.see(1, Conversation { start: 3, system: 7 });
    assert_eq!((new.last_model, new.last_prompt_tokens, new.idle_ms), (None, 0, None));
    assert_eq!((new.likely_model, new.spent), (Some(0), NanoUsd(20)));
}

#[test]
fn a_conversation_whose_system_prompt_was_not_read_is_the_last_that_began_alike() {
    let mut world = World::new();
    world.turn(1, MAIN, 2, 40_000);
    let title = Conversation { start: 1, system: 9 };
    world.turn(1, title, 0, 500);
    world.turn(1, MAIN, 2, 41_000);
    let unread = Conversation { start: 1, system: 0 };
    assert_eq!(world.see(1, unread).last_prompt_tokens, 41_000);
    world.turn(1, unread, 2, 42_000);
    assert_eq!(world.see(1, MAIN).last_prompt_tokens, 42_000, "it goes on under its known name");
    assert_eq!(world.see(1, title).last_prompt_tokens, 500);
    let changed = world.see(1, Conversation { start: 1, system: 5 });
    assert_eq!((changed.last_model, changed.likely_model), (None, Some(2)));
}

#[test]
fn a_system_prompt_that_was_read_later_completes_the_name() {
    let mut world = World::new();
    world.turn(1, Conversation { system: 0, ..MAIN }, 2, 40_000);
    assert_eq!(world.see(1, MAIN).last_model, Some(2));
    world.turn(1, MAIN, 1, 50_000);
    assert_eq!(world.see(1, Conversation { system: 0, ..MAIN }).last_model, Some(1));
}

#[test]
fn many_conversations_of_one_session_do_not_take_those_of_another() {
    let mut world = World::new();
    world.turn(2, MAIN, 1, 77);
    for start in 0..50u64 {
        world.now_ms += 1;
        world.turn(1, Conversation { start: 100 + start, system: 1 }, 0, start);
    }
    assert_eq!(world.see(2, MAIN).last_prompt_tokens, 77);
    // Two sessions have four places together.
    let known = |start| world.see(1, Conversation { start, system: 1 }).last_model.is_some();
    assert_eq!([149, 148, 147, 146].map(known), [true, true, true, false]);
}

#[test]
fn a_session_remembers_a_bounded_number_of_conversations() {
    let mut conversations = Conversations::default();
    let turn = SettledTurn {
        cost: NanoUsd(1),
        model: 1,
        prompt_tokens: u64::MAX,
        body_bytes: 1,
        warm_tokens: 0,
        output_tokens: 1,
    };
    for start in 1..100 {
        conversations.settle(Conversation { start, system: 1 }, &turn, start);
    }
    assert_eq!(conversations.0.len(), MAX_CONVERSATIONS);
    assert_eq!(conversations.last().map(|last| (last.settled_ms, last.prompt_tokens)), Some((99, u32::MAX)));
}
