//! The one handle that layers, routes and background work share.

mod builder;
mod core;
#[cfg(feature = "data")]
mod gather;
#[cfg(feature = "admin")]
mod insight;
#[cfg(feature = "metrics")]
mod publish;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod task;
mod tiers;
mod turn;
#[cfg(feature = "data")]
mod values;

use std::{sync::Arc, time::Duration};

pub use self::builder::LarderBuilder;
#[cfg(feature = "data")]
pub use self::gather::inherit;
#[cfg(feature = "admin")]
pub(crate) use self::insight::{DeclaredRoute, Explained, Insight, Inspect, Invalidated};
#[cfg(feature = "metrics")]
pub(crate) use self::publish::Published;
#[cfg(feature = "redis")]
pub use self::redis::Redis;
#[cfg(feature = "data")]
pub(crate) use self::{
    core::Asked,
    gather::{Gathered, Gathering},
    values::{Before, Load, Values},
};
pub(crate) use self::{
    core::{Core, Draft},
    record::Answered,
    turn::{Turn, Waiting},
};
use crate::{
    invalidate::{Ack, Purge},
    observe::{Event, RouteStatistics, Statistics, Window},
    policy::Target,
};

/// The cache itself: its store, its flights, its fence and its counters.
///
/// Cheap to clone; all clones are one cache. Layers hold a clone, so that dropping a layer, or this
/// handle, ends nothing: [`shutdown`](Self::shutdown) does.
///
/// ```
/// use larder::{Larder, Target};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().memory_bytes(64 << 20).build().await?;
/// larder.invalidate([Target::tag("product:7")]).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Larder {
    core: Arc<Core>,
}

impl Larder {
    /// Returns a builder with the default settings.
    pub fn builder() -> LarderBuilder {
        LarderBuilder::new()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Invalidates everything that belongs to one of `targets`: it is never served again.
    ///
    /// When the future is ready, no request that arrives later gets an answer whose handler run
    /// began before. Nothing is searched or removed: the cost does not depend on how many responses
    /// there are. The future need not be awaited for the effect, but dropping it before its first
    /// poll does nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let larder = larder::Larder::builder().build().await?;
    /// use larder::{Ack, Target};
    ///
    /// let ack = larder
    ///     .invalidate([Target::tag("product:7"), Target::prefix(None, "/reports")])
    ///     .await;
    /// assert_eq!(ack, Ack::Global);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate(&self, targets: impl IntoIterator<Item = Target>) -> Ack {
        self.core.invalidate(&Purge::hard(targets)).await
    }

    /// Invalidates, and waits until that many replicas of the Redis know of it, but no longer than
    /// `within`.
    ///
    /// [`invalidate`](Self::invalidate) is acknowledged by the primary alone. If that fails in the
    /// next moment, the replica that takes its place may never have heard of it. That does no harm to
    /// what is stored, which is void after a failover; it does to a response that another node was
    /// making at that moment. [`Ack::Local`] says that fewer replicas had it in time, or that Redis
    /// could not be reached; the invalidation is sent again in both cases.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let larder = larder::Larder::builder().redis("redis://127.0.0.1").build().await?;
    /// use larder::{Target, secs};
    ///
    /// larder.invalidate_wait([Target::tag("prices")], 1, secs(1)).await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    pub async fn invalidate_wait(
        &self,
        targets: impl IntoIterator<Item = Target>,
        replicas: usize,
        within: Duration,
    ) -> Ack {
        let purge = Purge::hard(targets);
        self.core.invalidate_wait(&purge, replicas, within).await
    }

    /// Makes everything that belongs to one of `targets` stale from now on.
    ///
    /// Responses with a `stale-while-revalidate` or `stale-if-error` window may still be served
    /// within it, counted from now. Where that is not wanted, use [`invalidate`](Self::invalidate).
    pub async fn invalidate_soft(&self, targets: impl IntoIterator<Item = Target>) -> Ack {
        self.core.invalidate(&Purge::soft(targets)).await
    }

    /// Invalidates everything that carries the tag.
    pub async fn invalidate_tag(&self, tag: &str) -> Ack {
        self.invalidate([Target::tag(tag)]).await
    }

    /// Begins a new version of the whole namespace: all that was filled before is void.
    pub async fn bump_version(&self) -> Ack {
        self.invalidate([Target::Everything]).await
    }

    /// Begins a new version of one route, by its pattern.
    pub async fn bump_route(&self, pattern: &str) -> Ack {
        self.invalidate([Target::route(pattern)]).await
    }

    /// Returns what was counted since the handle was built.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core.statistics()
    }

    /// Returns what was counted in the last minute, the last five minutes, and the last hour.
    ///
    /// Snapshots are taken every ten seconds while there are requests, which is how exact the shorter
    /// windows are; the hour is right to two minutes.
    #[must_use]
    pub fn windows(&self) -> Vec<Window> {
        self.core.windows()
    }

    /// Returns each route, and how its requests were answered since the handle was built.
    ///
    /// These are the patterns of tables and those that layers have met, in order, at most 4096; then
    /// `unmatched` and `other`.
    #[must_use]
    pub fn route_statistics(&self) -> Vec<RouteStatistics> {
        self.core.routes.statistics()
    }

    /// Sends all requests of a route to their handlers until [`resume`](Self::resume): nothing is
    /// looked up and nothing is stored.
    ///
    /// For a route whose answers turn out to be wrong to share. What is stored stays, and is served
    /// again afterwards unless it was invalidated; requests that change something go on to
    /// invalidate. A run that others have joined already is shared with them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let larder = larder::Larder::builder().build().await?;
    /// larder.pause("/products/{id}");
    /// larder.bump_route("/products/{id}").await;
    /// larder.resume("/products/{id}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The pattern is that of a [`RouteStatistics::route`]; of those that stand for many, `unmatched`
    /// can be paused and `other` can not. Returns whether it could be paused.
    #[expect(
        clippy::must_use_candidate,
        reason = "the pause is what it is called for"
    )]
    pub fn pause(&self, pattern: &str) -> bool {
        self.core.routes.pause(pattern, true)
    }

    /// Ends what [`pause`](Self::pause) began, and returns whether that could be done.
    #[expect(
        clippy::must_use_candidate,
        reason = "the end of the pause is what it is called for"
    )]
    pub fn resume(&self, pattern: &str) -> bool {
        self.core.routes.pause(pattern, false)
    }

    /// Removes what is of no use any more and returns how many responses that were.
    ///
    /// Expired responses are also dropped when they are met or their place is needed; this gives
    /// their memory back at once.
    #[expect(
        clippy::must_use_candidate,
        reason = "the sweep is what it is called for"
    )]
    pub fn sweep(&self) -> usize {
        self.core.store.sweep(self.core.clock.now())
    }

    /// Gives what was invalidated while Redis was away the time to get there; returns what is left.
    #[cfg(feature = "redis")]
    async fn drain(&self, deadline: Duration) -> Duration {
        let begun = tokio::time::Instant::now();
        if let Some(relay) = &self.core.relay {
            // Whether it got there or not: the process ends.
            let _ = tokio::time::timeout(deadline, relay.drained()).await;
        }
        deadline.saturating_sub(begun.elapsed())
    }

    /// Ends background work: handler runs that others wait for and refreshes.
    ///
    /// Those in progress have until `deadline` from now; what is not done then is dropped, and its
    /// waiters are told. Layers go on to work, without starting new background work.
    pub async fn shutdown(&self, deadline: Duration) {
        self.core.tasks.close();
        #[cfg(feature = "redis")]
        let deadline = self.drain(deadline).await;
        let ended = async {
            self.core.tasks.wait().await;
            if let Some(second) = &self.core.second {
                second.flush().await;
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            self.core.counters.note(Event::Failed);
        }
        // What was counted since the last time would not reach a recorder any more.
        #[cfg(feature = "metrics")]
        self.core.publish();
        self.core.stop.cancel();
    }
}
