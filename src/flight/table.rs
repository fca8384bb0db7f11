//! The table of flights in progress.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    future::{pending, poll_fn},
    hash::BuildHasher,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{entry::Seal, hash::KeyHash, key::Key};

/// How many independent parts the table has. Misses of different keys rarely meet in one.
const SHARDS: usize = 32;

/// How many handler runs may be joined at a time. Above it requests go to their handlers alone:
/// the origin's load is then what it would be without larder, and the table stays bounded.
const MAX_FLIGHTS: usize = 65_536;

/// How many requests may wait for one run. Above it they go to their handlers alone.
const MAX_FOLLOWERS: usize = 10_000;

/// How many requests of one key may run at a time once they have waited in vain.
const MAX_STRAGGLERS: usize = 8;

/// How long one of those waits for the others before it runs all the same: what hangs for all of them is
/// not larder's to hold back.
const LONGEST_STRAGGLE: Duration = Duration::from_secs(30);

/// How a flight went, as far as it has gone.
#[derive(Debug)]
pub(crate) enum Landing<D, L> {
    /// The handler has not answered yet, or its answer is kept back until it is known to fit.
    Flying,
    /// The handler has answered and the body is on its way.
    Streaming(D),
    /// The response is complete.
    Landed(L),
    /// The response may not be shared.
    Declined,
    /// The service returned an error.
    Failed,
    /// Nobody runs here: another node does, and nobody was known to wait for what it brings.
    Left,
    /// The run panicked or was ended.
    Lost,
}

impl<D: Clone, L: Clone> Clone for Landing<D, L> {
    fn clone(&self) -> Self {
        match self {
            Self::Flying => Self::Flying,
            Self::Streaming(draft) => Self::Streaming(draft.clone()),
            Self::Landed(entry) => Self::Landed(entry.clone()),
            Self::Declined => Self::Declined,
            Self::Failed => Self::Failed,
            Self::Left => Self::Left,
            Self::Lost => Self::Lost,
        }
    }
}

/// One handler run that others may join.
#[derive(Debug)]
pub(crate) struct Flight<D, L> {
    /// Where the run stands in the order of invalidations, with the targets known before it. Empty until
    /// it begins.
    seal: OnceLock<Seal>,
    /// How it went, once there is somebody to be told: most flights land without.
    landing: OnceLock<watch::Sender<Landing<D, L>>>,
    followers: AtomicUsize,
    stragglers: OnceLock<Arc<Semaphore>>,
}

impl<D, L> Flight<D, L> {
    /// Returns whether the place of the run in the order of invalidations passes `test`. A run that has
    /// not begun passes any: it comes after whatever was invalidated so far.
    pub(crate) fn passes(&self, test: impl FnOnce(&Seal) -> bool) -> bool {
        self.seal.get().is_none_or(test)
    }

    fn landing(&self) -> &watch::Sender<Landing<D, L>> {
        let flying = || watch::Sender::new(Landing::Flying);
        self.landing.get_or_init(flying)
    }
}

/// A part of the table.
type Table<D, L> = HashMap<Key, Arc<Flight<D, L>>, KeyHash>;

/// The flights of one handle. `D` is shared while a body streams, `L` once it is complete.
#[derive(Debug)]
pub(crate) struct Flights<D, L> {
    shards: [Mutex<Table<D, L>>; SHARDS],
    hasher: KeyHash,
    count: AtomicUsize,
}

/// The part that a request plays for a key.
#[derive(Debug)]
pub(crate) enum Join<D, L> {
    Lead(Leader<D, L>),
    Follow(Follower<D, L>),
    /// Too many already; run alone.
    Full,
}

impl<D, L> Flights<D, L> {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(KeyHash::new()))),
            hasher: KeyHash::new(),
            count: AtomicUsize::new(0),
        }
    }

    /// Joins the flight of `key` if there is one that `usable` accepts; else leads a new one, which
    /// takes the place of any other. `seal` is that of its run, or none if something else comes before
    /// it: then who leads says [when it begins](Leader::begin).
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &Key,
        usable: impl FnOnce(&Flight<D, L>) -> bool,
        seal: impl FnOnce() -> Option<Seal>,
    ) -> Join<D, L> {
        let mut shard = self.shard(key);
        if let Some(flight) = shard.get(key)
            && usable(flight)
        {
            return Follower::of(flight).map_or(Join::Full, Join::Follow);
        }
        if self.count.load(Ordering::Relaxed) >= MAX_FLIGHTS {
            return Join::Full;
        }
        let flight = Arc::new(Flight {
            seal: seal().map_or_else(OnceLock::new, OnceLock::from),
            landing: OnceLock::new(),
            followers: AtomicUsize::new(0),
            stragglers: OnceLock::new(),
        });
        if shard.insert(key.clone(), Arc::clone(&flight)).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        drop(shard);
        Join::Lead(Leader {
            table: Arc::clone(self),
            key: key.clone(),
            flight,
            landed: false,
        })
    }

    /// Leads a new flight of `key` unless there is one already.
    pub(crate) fn lead(
        self: &Arc<Self>,
        key: &Key,
        usable: impl FnOnce(&Flight<D, L>) -> bool,
        seal: impl FnOnce() -> Option<Seal>,
    ) -> Option<Leader<D, L>> {
        match self.join(key, usable, seal) {
            Join::Lead(leader) => Some(leader),
            Join::Follow(_) | Join::Full => None,
        }
    }

    /// Returns how many flights are on the table.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns how many requests wait for runs of others.
    pub(crate) fn waiters(&self) -> usize {
        let waiting = |shard: &Mutex<Table<D, L>>| -> usize {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let followers = shard.values().map(|flight| &flight.followers);
            followers.map(|count| count.load(Ordering::Relaxed)).sum()
        };
        self.shards.iter().map(waiting).sum()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Table<D, L>> {
        // Other bits than a part takes its own places from.
        let hash = self.hasher.hash_one(key) >> 32;
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and the duty to say how a flight went.
#[derive(Debug)]
pub(crate) struct Leader<D, L> {
    table: Arc<Flights<D, L>>,
    key: Key,
    flight: Arc<Flight<D, L>>,
    landed: bool,
}

impl<D, L> Leader<D, L> {
    /// Says that the run begins now, where it was not known before when it would. Only the first word
    /// counts.
    pub(crate) fn begin(&self, seal: Seal) {
        drop(self.flight.seal.set(seal));
    }

    /// Lets the followers stream along; the flight stays on the table.
    pub(crate) fn stream(&self, draft: D) {
        self.flight
            .landing()
            .send_replace(Landing::Streaming(draft));
    }

    /// Ends the flight with `landing`.
    pub(crate) fn land(mut self, landing: Landing<D, L>) {
        self.finish(landing);
    }

    /// Takes the flight off the table, so that the next request leads again; it may still land.
    pub(crate) fn leave_table(&self) {
        let mut shard = self.table.shard(&self.key);
        if let Slot::Occupied(slot) = shard.entry(self.key.clone())
            && Arc::ptr_eq(slot.get(), &self.flight)
        {
            slot.remove();
            self.table.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn finish(&mut self, landing: Landing<D, L>) {
        self.landed = true;
        self.leave_table();
        // Nobody joins what is not on the table. Who has joined before has asked to be told, under the
        // lock of his part of it.
        if let Some(told) = self.flight.landing.get() {
            told.send_replace(landing);
        }
    }
}

impl<D, L> Drop for Leader<D, L> {
    fn drop(&mut self) {
        if !self.landed {
            self.finish(Landing::Lost);
        }
    }
}

/// A request that waits for another one's handler run.
#[derive(Debug)]
pub(crate) struct Follower<D, L> {
    flight: Arc<Flight<D, L>>,
    landing: watch::Receiver<Landing<D, L>>,
}

impl<D, L> Follower<D, L> {
    fn of(flight: &Arc<Flight<D, L>>) -> Option<Self> {
        if flight.followers.fetch_add(1, Ordering::Relaxed) >= MAX_FOLLOWERS {
            flight.followers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            flight: Arc::clone(flight),
            landing: flight.landing().subscribe(),
        })
    }

    pub(crate) fn flight(&self) -> &Arc<Flight<D, L>> {
        &self.flight
    }

    /// Says whether the handler has answered and its body is on the way.
    pub(crate) fn has_head(&self) -> bool {
        matches!(*self.landing.borrow(), Landing::Streaming(_))
    }

    /// Waits until the run can be shared; with `complete`, until it is complete.
    pub(crate) async fn wait(&mut self, complete: bool) -> Landing<D, L>
    where
        D: Clone,
        L: Clone,
    {
        let ready = |landing: &Landing<D, L>| match landing {
            Landing::Flying => false,
            Landing::Streaming(_) => !complete,
            Landing::Landed(_)
            | Landing::Declined
            | Landing::Failed
            | Landing::Left
            | Landing::Lost => true,
        };
        match self.landing.wait_for(ready).await {
            Ok(landing) => landing.clone(),
            // The sender lives in the flight that this follower holds: it can not be gone.
            Err(_) => Landing::Lost,
        }
    }

    /// Waits for a place among the few of this key that may run on their own, until the run has brought
    /// something after all, or until that has taken too long.
    pub(crate) async fn straggle(&mut self) -> Straggled
    where
        D: Clone,
        L: Clone,
    {
        let places = || Arc::new(Semaphore::new(MAX_STRAGGLERS));
        let places = Arc::clone(self.flight.stragglers.get_or_init(places));
        let mut place = pin!(places.acquire_owned());
        let mut has_landed = pin!(async {
            match self.wait(true).await {
                Landing::Landed(_) | Landing::Declined => {}
                // Then the places are all there is.
                _ => pending().await,
            }
        });
        let straggled = poll_fn(|context| match place.as_mut().poll(context) {
            Poll::Ready(Ok(place)) => Poll::Ready(Straggled::Turn(Place(place))),
            // They are never closed.
            Poll::Ready(Err(_)) => Poll::Ready(Straggled::Free),
            Poll::Pending => has_landed.as_mut().poll(context).map(|()| Straggled::Free),
        });
        timeout(LONGEST_STRAGGLE, straggled)
            .await
            .unwrap_or(Straggled::Free)
    }
}

/// What came of waiting for a place.
#[derive(Debug)]
pub(crate) enum Straggled {
    /// A place, which is held for as long as the run and what it brings to the store take.
    Turn(Place),
    /// None is needed: the run that took too long has ended, and what it brought is stored or may not
    /// be shared; or nobody can be made to wait any longer.
    Free,
}

/// A place among the few of one key that may run on their own.
#[derive(Debug)]
pub(crate) struct Place(
    #[expect(dead_code, reason = "dropping it is what it is for")] OwnedSemaphorePermit,
);

impl<D, L> Drop for Follower<D, L> {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Position;

    fn join(flights: &Arc<Flights<(), ()>>, key: u64) -> Join<(), ()> {
        let key = Key::from(&key.to_le_bytes()[..]);
        let seal = || Some(Seal::new(Position::default(), Vec::new()));
        flights.join(&key, |_| true, seal)
    }

    #[test]
    fn flights_above_the_bound_are_not_joined() {
        let flights = Arc::new(Flights::new());
        let mut leaders = Vec::new();
        for key in 0..MAX_FLIGHTS as u64 {
            let Join::Lead(leader) = join(&flights, key) else {
                panic!("flight {key} has no leader");
            };
            leaders.push(leader);
        }
        assert!(matches!(join(&flights, u64::MAX), Join::Full));
        assert!(matches!(join(&flights, 0), Join::Follow(_)));
        drop(leaders);
        assert_eq!(flights.len(), 0);
        assert!(matches!(join(&flights, u64::MAX), Join::Lead(_)));
        let held: usize = flights
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert_eq!(held, 0);
    }

    #[test]
    fn followers_above_the_bound_go_alone_and_make_room_when_they_leave() {
        let flights = Arc::new(Flights::new());
        let _leader = join(&flights, 0);
        let mut followers: Vec<_> = (0..MAX_FOLLOWERS).map(|_| join(&flights, 0)).collect();
        assert!(matches!(join(&flights, 0), Join::Full));
        followers.pop();
        assert!(matches!(join(&flights, 0), Join::Follow(_)));
    }
}
