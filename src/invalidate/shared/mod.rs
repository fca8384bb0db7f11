//! How does an invalidation reach the other nodes, and when is it known that it has?
//!
//! # The parts
//!
//! | part | what it does |
//! | --- | --- |
//! | [`Relay`] | makes an invalidation global, or local for now; says whether what is known here can be relied on |
//! | [`mirror`] | follows the registry's log and applies it to the [`Fence`], in order |
//! | [`outbox`] | what was invalidated here while Redis was away |
//! | [`drain`] | sends that, until it has been seen to come round |
//! | [`bus`] | hears other programs on the channel, whose words are in [`message`] |
//!
//! # When an invalidation is acknowledged
//!
//! The script returns the epoch and the number that the invalidation got. It is global once the
//! mirror of this node stands in that epoch at that number: then it is visible here, and every other
//! node finds it in the log or, asked to be strict, in the registry. If Redis does not answer in
//! time, or the mirror does not come so far, the invalidation is stamped with the process's own
//! counter, its targets wait in the outbox, and the acknowledgement says that it is local.
//!
//! # When a stamp table can be relied on
//!
//! A round of the mirror is complete when all that the log had was applied, and the registry then
//! stood at that number, or had gone on in that very moment. Its moment is that of its *sending*:
//! whatever was acknowledged before it is in the table. While that is at most a second ago, a bounded reader asks nobody. Later, and for a
//! strict reader always, the registry is asked where it stands, and the mirror has to reach that.
//! Without an answer a strict reader has nothing, and a bounded one what carries no tags, or was
//! begun at most a second ago ([`Trust`]).
//!
//! # What may go wrong, and what then
//!
//! - *The log was trimmed, or lost.* The floor rises to where the registry stands: what was filled
//!   before is dead, stamps are never forgotten.
//! - *The registry is lost, or of another epoch.* The fence is put into an epoch of this process
//!   alone, so that everything is dead at once and requests can still share handler runs, until the
//!   new registry has been read. What is filled meanwhile dies with that private epoch.
//! - *The registry stands below what was applied.* It is an older one under the same name, so it is
//!   destroyed, which makes a new epoch.
//! - *The server is full.* The registry is destroyed, which takes no memory. Here the local path is
//!   taken as well, since the mirror may be about to believe in the old registry.

pub(crate) mod bus;
pub(crate) mod drain;
pub(crate) mod message;
pub(crate) mod mirror;
pub(crate) mod outbox;
mod pause;

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use self::{message::Teller, outbox::Outbox};
use super::{Ack, Purge, Trust, ids};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::{Clock, Timestamp},
    fence::{Fence, Mode},
    observe::{Counters, Histogram, SharedStatistics},
    policy::Target,
    store::redis::{
        Connections,
        registry::{MOST_TARGETS, Order, Place, Registry, Seen, Unstamped},
    },
};

/// How old the last complete round of the mirror may be for its word to be enough, in milliseconds.
const SYNC_AGE: u64 = 1000;

/// What the fence and its helpers belong to.
pub(crate) trait Host: Send + Sync + 'static {
    fn fence(&self) -> &Fence;
    fn counters(&self) -> &Counters;
    fn relay(&self) -> Option<&Arc<Relay>>;
    /// Remembers what was invalidated, for those who ask why something is gone.
    fn remember(&self, purge: &Purge);
}

/// Carries invalidations between this process and the others.
#[derive(Debug)]
pub(crate) struct Relay {
    registry: Registry,
    /// What this process calls itself before the others; nobody else is called so.
    node: String,
    clock: Arc<dyn Clock>,
    is_strict: bool,
    /// When the last complete round was sent, in milliseconds; zero if none holds.
    synced_at: AtomicU64,
    progress: watch::Sender<Progress>,
    /// Counts what a start of the mirror has to come after.
    tickets: AtomicU64,
    outbox: Outbox,
    /// Wakes the drain.
    nudge: Arc<Notify>,
    /// How long the last global invalidation took to come round, in microseconds.
    lag: AtomicU64,
    /// How long all of them took.
    lags: Histogram,
    /// How often the mirror has begun anew.
    epochs: AtomicU64,
}

/// How far the mirror has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// What is applied; of epoch zero while there is no registry.
    place: Place,
    /// The ticket that was out when the registry was last made sure of.
    started: u64,
}

impl Relay {
    pub(crate) fn new(connections: Connections, clock: Arc<dyn Clock>, is_strict: bool) -> Self {
        Self {
            registry: Registry::new(connections),
            node: format!("{:016x}", RandomState::new().hash_one(0_u8)),
            clock,
            is_strict,
            synced_at: AtomicU64::new(0),
            progress: watch::Sender::default(),
            tickets: AtomicU64::new(0),
            outbox: Outbox::default(),
            nudge: Arc::default(),
            lag: AtomicU64::new(0),
            lags: Histogram::default(),
            epochs: AtomicU64::new(0),
        }
    }

    /// Starts what goes on in the background until `host` is gone. Needs a runtime.
    pub(crate) fn start<H: Host>(self: &Arc<Self>, host: &Arc<H>) {
        tokio::spawn(mirror::follow(Arc::downgrade(host)));
        tokio::spawn(drain::drain(Arc::downgrade(self), Arc::clone(&self.nudge)));
    }

    /// Returns whether the stamp table can be relied on at `now` without asking anybody.
    #[inline]
    pub(crate) fn is_in_sync(&self, now: Timestamp) -> bool {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::NoSyncAge) {
            return true;
        }
        // The moment is published after the stamps that it vouches for.
        let synced_at = self.synced_at.load(Ordering::Acquire);
        !self.is_strict && now.as_millis() <= synced_at.saturating_add(SYNC_AGE)
    }

    /// Asks the registry where it stands, waits for the mirror to get there, and returns how far
    /// what is known then can be relied on. Takes no longer than a request may wait.
    pub(crate) async fn ask(&self) -> Trust {
        let before = self.progress.borrow().place;
        let budget = self.registry.connections().settings().request_budget;
        let deadline = Instant::now() + budget;
        match self.registry.read_place(budget).await {
            Ok(Some(place)) => self.answered(place, before, deadline).await,
            Ok(None) | Err(_) => self.without(),
        }
    }

    /// Returns how far what is known can be relied on by one who has read that the registry stands
    /// at `place`, after the mirror had stood at `before`.
    async fn answered(&self, place: Place, before: Place, deadline: Instant) -> Trust {
        // A registry that fell back behind what the mirror had applied is an older one.
        let fell_back = place.epoch == before.epoch && place.number < before.number;
        if !fell_back && self.reaches(place, deadline).await {
            Trust::Known
        } else {
            self.without()
        }
    }

    fn without(&self) -> Trust {
        if self.is_strict {
            Trust::Nothing
        } else {
            Trust::Alone
        }
    }

    /// Returns what is ready when the mirror has gone on since this was called.
    pub(crate) fn moved(&self) -> impl Future<Output = ()> + use<> {
        let mut progress = self.progress.subscribe();
        async move {
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the mirror stands in that epoch at that number, and returns whether it does.
    async fn reaches(&self, place: Place, deadline: Instant) -> bool {
        let there = |progress: &Progress| {
            progress.place.epoch == place.epoch && progress.place.number >= place.number
        };
        if there(&self.progress.borrow()) {
            return true;
        }
        let mut progress = self.progress.subscribe();
        let waited = timeout_at(deadline, progress.wait_for(there)).await;
        waited.is_ok_and(|reached| reached.is_ok())
    }

    /// Invalidates for all, or if that can not be done in time, here for now. Whoever drops it
    /// before it is ready has invalidated here.
    pub(crate) async fn invalidate(&self, fence: &Fence, purge: &Purge) -> Ack {
        self.invalidate_after(fence, purge, None).await.0
    }

    /// Invalidates as [`invalidate`](Self::invalidate) does. Returns besides at which place, if that
    /// is known to all and what a writer had seen was still the last word before it: what he has
    /// written is the truth as of that place.
    pub(crate) async fn invalidate_after(
        &self,
        fence: &Fence,
        purge: &Purge,
        seen: Option<&Seen<'_>>,
    ) -> (Ack, Option<Place>) {
        let unfinished = Unfinished {
            relay: self,
            fence,
            purge,
            is_armed: true,
        };
        let begun = Instant::now();
        let budget = self.registry.connections().settings().background_budget;
        let deadline = begun + budget;
        let orders = self.orders_of(purge);
        let stamped = self.registry.stamp_after(&orders, seen, budget).await;
        let is_global = match stamped {
            #[cfg(larder_sabotage)]
            Ok(_) if is_planted(Fault::EarlyAck) => true,
            Ok(stamped) => self.reaches(stamped.place, deadline).await,
            Err(Unstamped::Full) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let is_destroyed = self.registry.destroy(left).await;
                let ack = unfinished.invalidate_here();
                return (if is_destroyed { Ack::Global } else { ack }, None);
            }
            Err(Unstamped::Unknown) => false,
        };
        #[cfg(larder_sabotage)]
        let is_global = is_global || is_planted(Fault::FalseAck);
        if is_global {
            unfinished.disarm();
            let took = begun.elapsed();
            self.lags.record(took);
            let lag = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.lag.store(lag, Ordering::Relaxed);
            let latest = stamped.ok().filter(|stamped| stamped.is_latest);
            (Ack::Global, latest.map(|stamped| stamped.place))
        } else {
            (unfinished.invalidate_here(), None)
        }
    }

    /// Invalidates for all, and waits until so many replicas have it.
    pub(crate) async fn invalidate_replicated(
        &self,
        fence: &Fence,
        purge: &Purge,
        replicas: usize,
        within: Duration,
    ) -> Ack {
        let unfinished = Unfinished {
            relay: self,
            fence,
            purge,
            is_armed: true,
        };
        let orders = self.orders_of(purge);
        let stamped = self.registry.stamp_replicated(&orders, replicas, within);
        let Ok((place, have)) = stamped.await else {
            return unfinished.invalidate_here();
        };
        let budget = self.registry.connections().settings().background_budget;
        let wanted = u64::try_from(replicas).unwrap_or(u64::MAX);
        if have >= wanted && self.reaches(place, Instant::now() + budget).await {
            unfinished.disarm();
            Ack::Global
        } else {
            unfinished.invalidate_here()
        }
    }

    fn orders_of<'a>(&self, purge: &'a Purge) -> Vec<Order<'a>> {
        let teller = Teller {
            node: &self.node,
            source: Some(&purge.source),
        };
        orders(&purge.hard, &[(self.clock.now(), &purge.soft)], teller)
    }

    /// Invalidates in this process at once, and leaves the others to the drain.
    pub(crate) fn invalidate_here(&self, fence: &Fence, purge: &Purge) -> Ack {
        let now = self.clock.now();
        self.outbox.add(purge, now);
        if !purge.soft.is_empty() {
            fence.stamp_local(&ids(&purge.soft), Mode::Soft(now));
        }
        if !purge.hard.is_empty() {
            fence.stamp_local(&ids(&purge.hard), Mode::Hard);
        }
        self.nudge.notify_one();
        Ack::Local {
            pending: self.outbox.len(),
        }
    }

    /// Waits until nothing is left to be told to the others.
    pub(crate) async fn drained(&self) {
        while self.outbox.len() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Returns whether `epoch` is that of the registry, in which others can judge an entry.
    pub(crate) fn is_shared(&self, epoch: u64) -> bool {
        let shared = self.progress.borrow().place.epoch;
        shared != 0 && shared == epoch
    }

    /// Returns how long invalidations took until they had come round.
    #[cfg(feature = "metrics")]
    pub(crate) fn lags(&self) -> &Histogram {
        &self.lags
    }

    pub(crate) fn statistics(&self) -> SharedStatistics {
        let synced_at = Timestamp::from_millis(self.synced_at.load(Ordering::Acquire));
        let has_synced = synced_at != Timestamp::default();
        SharedStatistics {
            pending: self.outbox.len(),
            sync_age: has_synced.then(|| self.clock.now().since(synced_at)),
            invalidation_lag: Duration::from_micros(self.lag.load(Ordering::Relaxed)),
            epochs: self.epochs.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The drain finds that there is nobody left to drain for.
        self.nudge.notify_one();
    }
}

/// An invalidation that nobody has acknowledged yet. Its end without that is a local one.
struct Unfinished<'a> {
    relay: &'a Relay,
    fence: &'a Fence,
    purge: &'a Purge,
    is_armed: bool,
}

impl Unfinished<'_> {
    fn disarm(mut self) {
        self.is_armed = false;
    }

    fn invalidate_here(mut self) -> Ack {
        self.is_armed = false;
        self.relay.invalidate_here(self.fence, self.purge)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.relay.invalidate_here(self.fence, self.purge);
        }
    }
}

/// Returns what has to be stamped, in pieces that a script can take.
fn orders<'a>(
    hard: &'a [Target],
    soft: &[(Timestamp, &'a Vec<Target>)],
    teller: Teller<'_>,
) -> Vec<Order<'a>> {
    let soft = soft
        .iter()
        .map(|(at, targets)| (Some(*at), targets.as_slice()));
    let all = soft.chain([(None, hard)]);
    let pieces = all.flat_map(|(soft, targets)| {
        let pieces = targets.chunks(MOST_TARGETS);
        pieces.map(move |targets| Order {
            targets,
            soft,
            message: message::told(targets, soft.is_some(), teller),
        })
    });
    pieces.collect()
}

/// Returns the host if it is still there.
fn upgraded<H: Host>(host: &Weak<H>) -> Option<(Arc<H>, Arc<Relay>)> {
    let host = host.upgrade()?;
    let relay = Arc::clone(host.relay()?);
    Some((host, relay))
}
