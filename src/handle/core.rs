//! What all parts of one cache share.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "data")]
use crate::policy::Target;
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Clock,
    entry::{Entry, Head, Position, Seal},
    fence::{Fence, Mode, Verdict},
    flight::{Flights, SharedBody},
    invalidate::{Ack, Purge, ids},
    observe::{Counters, Durations, Event, Gauges, RouteStates, Span, Statistics, Windows},
    semantics::cache_status::Name,
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
    pub(crate) flights: Arc<Flights<Draft, Arc<Entry>>>,
    #[cfg(feature = "data")]
    pub(crate) values: super::Values,
    pub(crate) counters: Counters,
    pub(crate) routes: Arc<RouteStates>,
    pub(crate) durations: Durations,
    pub(crate) windows: Windows,
    pub(crate) gauges: Gauges,
    #[cfg(feature = "metrics")]
    pub(crate) published: super::Published,
    #[cfg(feature = "admin")]
    pub(crate) insight: super::Insight,
    pub(crate) namespace: Box<str>,
    /// The name in `Cache-Status`; none if the field is not wanted.
    pub(crate) name: Option<Name>,
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

impl Core {
    /// Invalidates, and returns when everybody who has to know of it does.
    ///
    /// Where it is dropped before it is ready, [`invalidate_here`](Self::invalidate_here) has to be
    /// called instead: nothing may have been stamped yet.
    #[expect(
        clippy::unused_async,
        reason = "with a shared tier it waits for the others"
    )]
    pub(crate) async fn invalidate(&self, purge: &Purge) -> Ack {
        self.invalidate_here(purge)
    }

    /// Invalidates in this process, at once, and leaves telling the others to the background.
    pub(crate) fn invalidate_here(&self, purge: &Purge) -> Ack {
        if !purge.is_empty() {
            let targets = purge.hard.len() + purge.soft.len();
            Span::invalidate(&purge.source, targets).in_scope(|| self.stamp(purge));
            self.counters.note(Event::Invalidated);
            self.invalidated(purge);
        }
        Ack::Global
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

    /// Invalidates `targets` unless what is sealed with `seal` has been invalidated already; returns
    /// the position right after it. Nobody invalidates in between.
    #[cfg(feature = "data")]
    pub(crate) fn invalidate_if_current(
        &self,
        seal: &Seal,
        targets: &[Target],
    ) -> Option<Position> {
        let position = self.fence.stamp_local_if_current(seal, &ids(targets))?;
        self.counters.note(Event::Invalidated);
        Some(position)
    }

    pub(crate) fn position(&self) -> Position {
        self.fence.position()
    }

    /// Returns whether what is sealed so may not be served any more.
    pub(crate) fn is_dead(&self, seal: &Seal) -> bool {
        matches!(self.fence.judge(seal), Verdict::Dead(_))
    }

    /// Judges what was read from the second tier just now. The local number of its position is what
    /// it was here before Redis was asked.
    pub(crate) fn judge_second(&self, seal: &Seal) -> Verdict {
        self.fence.judge(seal)
    }

    /// Returns whether an entry may go to the second tier, where other nodes find it.
    pub(crate) fn may_leave(&self, entry: &Entry) -> bool {
        !self.is_dead(&entry.seal)
    }

    /// Returns whether no invalidation, not even a soft one, has come after what is sealed so.
    pub(crate) fn is_current(&self, seal: &Seal) -> bool {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::AnyFlight) {
            return true;
        }
        self.fence.judge(seal) == Verdict::Valid
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
        statistics
    }

    /// Says whether there is more than one layer, so that one may stand behind another.
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
        let stop = self.stop.clone();
        let work = in_span(work);
        self.tasks.spawn(async move {
            // Whether it ended by itself or was stopped: what it holds says so on its way out.
            let _ = stop.run_until_cancelled(work).await;
        });
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

/// Keeps the caller's span around work that goes on without it.
#[cfg(feature = "tracing")]
fn in_span<F: Future>(work: F) -> impl Future<Output = F::Output> {
    tracing::Instrument::in_current_span(work)
}

#[cfg(not(feature = "tracing"))]
fn in_span<F: Future>(work: F) -> F {
    work
}
