//! What all campaigns of a run share, and a campaign's own hands.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use seqroute_core::request::session_id::SessionId;

use super::gateway::{Listener, SALT, TEAM_HEADER, TEAMS_OF_A_ROLE};
use super::marker::Marker;
use super::wire::{Connection, Leave, Reply, Request};

/// What the client of an account saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests that were sent.
    pub turns: u64,
    /// Answers with a status below 300.
    pub served: u64,
    /// Refusals.
    pub refused: u64,
    /// Damage to others that the campaign itself has established: a colleague refused, an answer of others read.
    pub harms: u64,
    /// Refusals by reason.
    pub reasons: BTreeMap<String, u64>,
}

/// What all campaigns share.
#[derive(Debug, Default)]
pub struct World {
    addresses: HashMap<&'static str, SocketAddr>,
    seen: Mutex<BTreeMap<String, Seen>>,
    /// Hashed session ids, as decision records have them, and the accounts that pay.
    ids: Mutex<HashMap<String, String>>,
    turns: AtomicU64,
    most_turns: u64,
    stopped: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world with these listeners that ends after so many turns.
    #[must_use]
    pub fn new(addresses: HashMap<&'static str, SocketAddr>, most_turns: u64) -> World {
        World { addresses, most_turns, ..World::default() }
    }

    /// Hostile turns so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// No more turns are to be sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_stopped() || self.turns() >= self.most_turns
    }

    /// The attack has ended, or was interrupted.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Ends the run; turns in flight come to their end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What clients saw, by account.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        lock(&self.seen).clone()
    }

    /// The account of a hashed session id.
    #[must_use]
    pub fn account_of(&self, session: &str) -> Option<String> {
        lock(&self.ids).get(session).cloned()
    }

    /// Notes whose session an id is.
    pub fn register(&self, team: &str, raw_id: &str, account: &str) {
        let id = SessionId::new(SALT.as_bytes(), team.as_bytes(), raw_id.as_bytes()).to_string();
        lock(&self.ids).entry(id).or_insert_with(|| account.to_owned());
    }

    /// Where a listener is.
    #[must_use]
    pub fn address(&self, listener: Listener) -> Option<SocketAddr> {
        self.addresses.get(listener.name()).copied()
    }

    fn note(&self, account: &str, change: impl FnOnce(&mut Seen)) {
        change(lock(&self.seen).entry(account.to_owned()).or_default());
    }
}

/// One session of one kind of attack, or one caller with many ids.
#[derive(Clone, Debug)]
pub struct Campaign {
    world: Arc<World>,
    /// Who pays, and the id of the session where the kind uses one.
    pub account: String,
    /// Its number, unique in the run.
    pub number: u64,
    /// Its number among the campaigns of its kind.
    ordinal: u64,
    /// The loopback address that it calls from.
    pub from: IpAddr,
    state: Arc<AtomicU64>,
}

impl Campaign {
    /// The campaign with this number, and this number among those of its kind, which alone decides what it draws.
    #[must_use]
    pub fn new(world: Arc<World>, kind: &str, number: u64, ordinal: u64, seed: u64) -> Campaign {
        let account = format!("{kind}-{number}");
        world.register("", &account, &account);
        let [_, _, high, low] = (number as u32).to_be_bytes();
        let from = IpAddr::V4(Ipv4Addr::new(127, 66, high, low.max(1)));
        let seed_of_kind = kind.bytes().fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)));
        let state = Arc::new(AtomicU64::new(mix(seed_of_kind ^ ordinal)));
        Campaign { world, account, number, ordinal, from, state }
    }

    /// A number below `bound`, the next of this campaign.
    #[must_use]
    pub fn draw(&self, bound: u64) -> u64 {
        mix(self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)) % bound.max(1)
    }

    /// One of several.
    #[must_use]
    pub fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.draw(all.len() as u64) as usize]
    }

    /// A number below `count`; campaigns of one kind in a row go through all of them.
    #[must_use]
    pub fn variant(&self, count: usize) -> usize {
        (self.ordinal % count.max(1) as u64) as usize
    }

    /// A team that no other campaign uses, of one of [`super::gateway::ROLES`].
    #[must_use]
    pub fn team(&self, role: &str) -> String {
        format!("{role}-{}", self.ordinal % TEAMS_OF_A_ROLE)
    }

    /// A marker that makes this campaign pay.
    #[must_use]
    pub fn marker(&self) -> Marker {
        Marker::new(self.account.clone())
    }

    /// The run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.world.is_over()
    }

    /// Sends a request in the campaign's own session to the main listener.
    pub async fn turn(&self, request: Request, leave: Leave) -> Reply {
        self.turn_at(Listener::Main, request, leave).await
    }

    /// Sends a request in the campaign's own session.
    pub async fn turn_at(&self, listener: Listener, request: Request, leave: Leave) -> Reply {
        self.send(listener, request.header("x-session-id", self.account.clone()), leave).await
    }

    /// Sends a request under an id, and in a team unless that is empty.
    pub async fn turn_as(
        &self,
        listener: Listener,
        team: &str,
        id: &str,
        request: Request,
        leave: Leave,
    ) -> Reply {
        self.world.register(team, id, &self.account);
        let request = if team.is_empty() { request } else { request.header(TEAM_HEADER, team) };
        self.send(listener, request.header("x-session-id", id), leave).await
    }

    /// Notes that an id in a team, or in none, is this campaign's.
    pub fn register(&self, team: &str, id: &str) {
        self.world.register(team, id, &self.account);
    }

    /// Sends a request that carries this id in a header of its own.
    pub async fn send_as(&self, listener: Listener, id: &str, request: Request, leave: Leave) -> Reply {
        self.world.register("", id, &self.account);
        self.send(listener, request, leave).await
    }

    /// Many turns of the session at once.
    pub async fn burst(&self, count: u64, request: impl Fn(u64) -> Request, leave: Leave) -> Vec<Reply> {
        join_all((0..count).map(|number| self.turn(request(number), leave))).await
    }

    /// Sends a request as it is, on a connection of its own.
    pub async fn send(&self, listener: Listener, request: Request, leave: Leave) -> Reply {
        let Some(address) = self.world.address(listener).filter(|_| !self.is_over()) else {
            return Reply::default();
        };
        self.world.turns.fetch_add(1, Ordering::Relaxed);
        let reply = match Connection::open(address, self.from).await {
            Ok(mut connection) => connection.exchange(&request, leave).await.unwrap_or_default(),
            Err(_) => Reply::default(),
        };
        self.world.note(&self.account, |seen| {
            seen.turns += 1;
            seen.served += u64::from(reply.is_served());
            seen.refused += u64::from(reply.is_refused());
            if reply.is_refused() {
                let reason =
                    if reply.reason.is_empty() { reply.status.to_string() } else { reply.reason.clone() };
                *seen.reasons.entry(reason).or_default() += 1;
            }
        });
        reply
    }

    /// Notes damage that the campaign did to others.
    pub fn harm(&self) {
        self.world.note(&self.account, |seen| seen.harms += 1);
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
