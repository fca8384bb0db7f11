//! What all parts of one cache share.

#[cfg(feature = "redis")]
use std::time::Duration;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::task::Stoppable;
#[cfg(feature = "redis")]
use crate::invalidate::{Host, Relay};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::{Clock, Timestamp},
    entry::{Entry, Head, Position, Seal},
    fence::{Fence, Mode, Reason, Verdict},
    flight::{Flights, SharedBody},
    invalidate::{Ack, Purge, Trust, ids},
    observe::{Counters, Durations, Event, RouteStates, Span, Statistics, Windows},
    semantics::cache_status::{HitMembers, Name},
    store::{Memory, SecondTier},
};

/// A response on its way: what followers of a flight stream along.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) head: Arc<Head>,
    pub(crate) body: Arc<SharedBody>,
    /// The length of the body, where it is known.
    pub(crate) length: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Memory,
    pub(crate) second: Option<SecondTier>,
    pub(crate) fence: Fence,
    /// The way to the other nodes; none if there are no others.
    #[cfg(feature = "redis")]
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) flights: Arc<Flights<Draft, Arc<Entry>>>,
    #[cfg(feature = "data")]
    pub(crate) values: super::Values,
    pub(crate) counters: Counters,
    pub(crate) routes: Arc<RouteStates>,
    pub(crate) durations: Durations,
    pub(crate) windows: Windows,
    #[cfg(feature = "metrics")]
    pub(crate) published: super::Published,
    #[cfg(feature = "admin")]
    pub(crate) insight: super::Insight,
    pub(crate) namespace: Box<str>,
    /// The name in `Cache-Status`; none if the field is not wanted.
    pub(crate) name: Option<Name>,
    /// What hits say there.
    pub(crate) hits: Option<&'static HitMembers>,
    pub(crate) max_body: u64,
    /// How many bytes the first tier may take.
    pub(crate) memory: u64,
    /// How many bytes the bodies of running fills may take together.
    pub(crate) max_buffered: u64,
    pub(crate) buffered: AtomicU64,
    /// How many layers there are. With more than one, responses are marked for the outer ones.
    pub(crate) layers: AtomicUsize,
    /// How many bodies may be compressed at a time off the async threads: one for each core would
    /// leave none for requests.
    pub(crate) packers: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// How far what was known of invalidations could be relied on when somebody came to read.
#[cfg(feature = "data")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) trust: Trust,
    pub(crate) at: Timestamp,
}

impl Core {
    /// Invalidates, and returns when everybody who has to know of it does.
    ///
    /// Where it is dropped after its first poll, and before it is ready, it has invalidated here.
    pub(crate) async fn invalidate(&self, purge: &Purge) -> Ack {
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay
            && !purge.is_empty()
        {
            self.note_invalidated(purge);
            let targets = purge.hard.len() + purge.soft.len();
            let span = Span::invalidate(&purge.source, targets);
            return span.around(relay.invalidate(&self.fence, purge)).await;
        }
        self.invalidate_here(purge)
    }

    /// Invalidates, and waits at most `within` until so many replicas of the shared tier know of it.
    #[cfg(feature = "redis")]
    pub(crate) async fn invalidate_wait(
        &self,
        purge: &Purge,
        replicas: usize,
        within: Duration,
    ) -> Ack {
        match &self.relay {
            Some(relay) if !purge.is_empty() => {
                self.note_invalidated(purge);
                (relay.invalidate_replicated(&self.fence, purge, replicas, within)).await
            }
            _ => self.invalidate_here(purge),
        }
    }

    /// Invalidates in this process, at once, and leaves telling the others to the background.
    pub(crate) fn invalidate_here(&self, purge: &Purge) -> Ack {
        if purge.is_empty() {
            return Ack::Global;
        }
        self.note_invalidated(purge);
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            return relay.invalidate_here(&self.fence, purge);
        }
        let targets = purge.hard.len() + purge.soft.len();
        Span::invalidate(&purge.source, targets).in_scope(|| self.stamp(purge));
        Ack::Global
    }

    pub(super) fn note_invalidated(&self, purge: &Purge) {
        self.counters.note(Event::Invalidated);
        self.invalidated(purge);
    }

    /// Makes the invalidation visible to all who begin from here on in this process.
    fn stamp(&self, purge: &Purge) {
        if !purge.soft.is_empty() {
            let mode = Mode::Soft(self.clock.now());
            self.fence.stamp_local(&ids(&purge.soft), mode);
        }
        if !purge.hard.is_empty() {
            self.fence.stamp_local(&ids(&purge.hard), Mode::Hard);
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.fence.position()
    }

    /// Returns whether what is sealed so may not be served any more.
    pub(crate) fn is_dead(&self, seal: &Seal) -> bool {
        matches!(self.fence.judge(seal), Verdict::Dead(_))
    }

    /// Returns whether no invalidation, not even a soft one, has come after what is sealed so.
    pub(crate) fn is_current(&self, seal: &Seal) -> bool {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::AnyFlight) {
            return true;
        }
        self.fence.judge(seal) == Verdict::Valid
    }

    /// Returns how far the stamp table can be relied on at `now`; none if somebody has to be
    /// [asked](Self::ask) first.
    #[inline]
    #[cfg_attr(
        not(feature = "redis"),
        expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "nobody else invalidates"
        )
    )]
    pub(crate) fn trust(&self, now: Timestamp) -> Option<Trust> {
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay
            && !relay.is_in_sync(now)
        {
            return None;
        }
        #[cfg(not(feature = "redis"))]
        let _ = now;
        Some(Trust::Known)
    }

    /// Asks how far the stamp table can be relied on, and has it brought up to date if it can be.
    /// Takes no longer than a request may wait.
    #[cfg_attr(
        not(feature = "redis"),
        expect(clippy::unused_async, reason = "nobody else invalidates")
    )]
    pub(crate) async fn ask(&self) -> Trust {
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            return relay.ask().await;
        }
        Trust::Known
    }

    /// Returns the word of a reader who comes now, and asks for it if need be.
    #[cfg(feature = "data")]
    pub(crate) async fn asked(&self) -> Asked {
        let at = self.clock.now();
        let trust = match self.trust(at) {
            Some(trust) => trust,
            None => self.ask().await,
        };
        Asked { trust, at }
    }

    /// Returns whether what is sealed so may be served to a request that came at `now`.
    #[inline]
    pub(crate) fn judge(&self, seal: &Seal, trust: Trust, now: Timestamp) -> Verdict {
        match trust {
            Trust::Known => self.fence.judge(seal),
            Trust::Alone if seal.is_trusted(now) => self.fence.judge(seal),
            Trust::Alone | Trust::Nothing => Verdict::Dead(Reason::Unverified),
        }
    }

    /// Returns whether the answer of a run that is sealed so may be used for a request that came at
    /// `arrived`.
    pub(crate) fn may_follow(&self, seal: &Seal, trust: Trust, arrived: Timestamp) -> bool {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::AnyFlight) {
            return true;
        }
        if trust == Trust::Nothing && seal.begun > arrived {
            // It began after the request came, which is as good as a run of one's own.
            return self.is_current(seal);
        }
        self.judge(seal, trust, arrived) == Verdict::Valid && self.is_current(seal)
    }

    /// Returns whether a request that came at `arrived` waits for a run that is sealed so, rather than
    /// to begin one of its own.
    ///
    /// Where nobody can be asked, a run that began before may not be followed. It is waited for all
    /// the same: all who came meanwhile then share the next one, and do not run one by one.
    pub(crate) fn may_wait_for(&self, seal: &Seal, trust: Trust, arrived: Timestamp) -> bool {
        match trust {
            Trust::Nothing => self.is_current(seal),
            Trust::Known | Trust::Alone => self.may_follow(seal, trust, arrived),
        }
    }

    /// Returns whether an entry may go to the second tier, where other nodes find it: it is alive,
    /// others can judge it there, and they know of all of its targets that were invalidated here.
    pub(crate) fn may_leave(&self, entry: &Entry) -> bool {
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay
            && (!relay.is_shared(entry.seal.position.epoch)
                || relay.outbox().has_any(&entry.seal.targets))
        {
            #[cfg(larder_sabotage)]
            if is_planted(Fault::OpenDoors) {
                return true;
            }
            return false;
        }
        !self.is_dead(&entry.seal)
    }

    /// Returns how what came from the second tier may be served to a request that came at `now`.
    ///
    /// Its seal has the local number that stood *before* Redis was asked: what is invalidated here
    /// from then on kills it, and what was before is still in the outbox, or in the registry.
    pub(crate) fn judge_second(&self, seal: &Seal, trust: Trust, now: Timestamp) -> Verdict {
        // The outbox first: what has left it can be seen in the stamp table.
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay
            && relay.outbox().has_any(&seal.targets)
        {
            #[cfg(larder_sabotage)]
            if is_planted(Fault::OpenDoors) {
                return self.judge(seal, trust, now);
            }
            return Verdict::Dead(Reason::Stamp);
        }
        self.judge(seal, trust, now)
    }

    /// Counts that the answer of a run could not be used for a request that came at `arrived`.
    pub(crate) fn note_unusable(&self, seal: &Seal, trust: Trust, arrived: Timestamp) {
        self.note_fenced(match self.judge(seal, trust, arrived) {
            Verdict::Dead(reason) => reason,
            Verdict::Valid | Verdict::Soft(_) => Reason::Stamp,
        });
    }

    /// Returns whether what is sealed so may not be served any more, and counts it if so.
    pub(crate) fn is_fenced(&self, seal: &Seal) -> bool {
        match self.fence.judge(seal) {
            Verdict::Dead(reason) => {
                self.note_fenced(reason);
                true
            }
            Verdict::Valid | Verdict::Soft(_) => false,
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = self.counters.statistics(&self.routes.traffic());
        statistics.entries = u64::try_from(self.store.len()).unwrap_or(u64::MAX);
        statistics.bytes = self.store.weight();
        statistics.refused = self.store.refused();
        statistics.evicted = self.store.evicted();
        statistics.flights = u64::try_from(self.flights.len()).unwrap_or(u64::MAX);
        if let Some(second) = &self.second {
            statistics.redis = second.statistics();
        }
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            statistics.shared = relay.statistics();
        }
        statistics
    }

    /// Says whether there is more than one layer, so that one may stand behind another.
    #[inline]
    pub(crate) fn has_layers(&self) -> bool {
        self.layers.load(Ordering::Relaxed) > 1
    }

    /// Says whether work can be left to a task: there is a runtime, and no shutdown has begun.
    pub(crate) fn has_background(&self) -> bool {
        !self.tasks.is_closed() && Handle::try_current().is_ok()
    }

    /// Runs `work` in a task that [`shutdown`](super::Larder::shutdown) waits for and then ends.
    ///
    /// Only to be called where [`has_background`](Self::has_background) holds.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        // Whether it ends by itself or is stopped: what it holds says so on its way out.
        let stopped = self.stop.clone().cancelled_owned();
        self.tasks.spawn(Stoppable::new(stopped, in_span(work)));
    }

    /// Takes room for a piece of a body that is being filled, if there is any.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        let before = self.buffered.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.max_buffered {
            return true;
        }
        self.release(bytes);
        false
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.buffered.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(feature = "redis")]
impl Host for Core {
    fn fence(&self) -> &Fence {
        &self.fence
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.as_ref()
    }

    fn remember(&self, purge: &Purge) {
        self.invalidated(purge);
    }
}

/// Keeps the caller's span around work that goes on without it.
#[cfg(feature = "tracing")]
fn in_span<F: Future>(work: F) -> impl Future<Output = F::Output> {
    tracing::Instrument::in_current_span(work)
}

#[cfg(not(feature = "tracing"))]
fn in_span<F: Future>(work: F) -> F {
    work
}
