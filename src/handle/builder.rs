//! The settings of a handle.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize},
};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Core, Larder};
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind},
    fence::Fence,
    flight::Flights,
    invalidate::Consistency,
    key::check_name,
    observe::{Counters, Durations, RouteStates, Snapshot, Windows},
    semantics::cache_status::{HitMembers, Name},
    store::Memory,
};
#[cfg(feature = "redis")]
use crate::{invalidate::Relay, store::SecondTier};

/// The first tier's size if none is set: 64 MiB.
const DEFAULT_MEMORY: u64 = 64 << 20;

/// The longest body that is stored if no other limit is set: 8 MiB.
const DEFAULT_MAX_BODY: u64 = 8 << 20;

/// Builds a [`Larder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = larder::Larder::builder()
///     .memory_bytes(256 << 20)
///     .max_body(4 << 20)
///     .namespace("shop")
///     .build()
///     .await?;
/// # drop(larder);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LarderBuilder {
    memory: u64,
    max_body: u64,
    namespace: String,
    name: String,
    cache_status: bool,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "redis")]
    redis: Option<super::redis::Redis>,
    consistency: Consistency,
    #[cfg(feature = "redis")]
    flight_lock: bool,
}

impl LarderBuilder {
    pub(super) fn new() -> Self {
        Self {
            memory: DEFAULT_MEMORY,
            max_body: DEFAULT_MAX_BODY,
            namespace: "larder".to_owned(),
            name: "larder".to_owned(),
            cache_status: true,
            clock: Arc::new(SystemClock::new()),
            #[cfg(feature = "redis")]
            redis: None,
            consistency: Consistency::Bounded,
            #[cfg(feature = "redis")]
            flight_lock: false,
        }
    }

    /// Sets how many bytes the first tier may take: keys, heads, bodies and its index. Default:
    /// 64 MiB.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets the longest body in bytes that is stored. Default: 8 MiB. A policy may set less.
    ///
    /// A longer one streams through. The memory has to have room for about four such bodies.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the namespace, which stands in every key. Default: `larder`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Sets the name by which this cache calls itself in `Cache-Status` (RFC 9211 §2). Default:
    /// `larder`.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Says whether responses tell in a `Cache-Status` field (RFC 9211) what was done. Default: yes.
    pub fn cache_status(mut self, on: bool) -> Self {
        self.cache_status = on;
        self
    }

    /// Sets how sure an answer has to be that nothing was invalidated on another node. Default:
    /// [`Consistency::Bounded`]. Without a shared tier there are no other nodes, and both are one.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Sets the clock, for tests that move the time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Lets one node at a time run the handler of a key, or load a value, as far as that can be had.
    /// Default: no.
    ///
    /// Without it each node runs it once. Those who wait are woken when the run has ended, and look
    /// for the answer in Redis; after the wait limit they run it themselves. If the node that runs it
    /// dies, another takes its place within about two seconds. It costs each run a round trip. It
    /// spares the origin and nothing else: what is served, and how fresh it is, does not depend on
    /// it. Has no effect without [`redis`](Self::redis).
    #[cfg(feature = "redis")]
    pub fn flight_lock(mut self, on: bool) -> Self {
        self.flight_lock = on;
        self
    }

    /// Adds a second tier in Redis, which all nodes of the [namespace](Self::namespace) share, and
    /// with it what they invalidate. Default: none, the cache is this process's own.
    ///
    /// Building does not wait for Redis, and works without it: requests go on as if it was not
    /// there until it is.
    ///
    /// Any program can invalidate by publishing JSON on the channel `larder:{namespace}:invalidate`,
    /// braces included, and hears there what the nodes invalidate (with a `seq`):
    ///
    /// ```text
    /// redis-cli publish 'larder:{shop}:invalidate' '{"id":"import-17","tags":["product:7"]}'
    /// redis-cli publish 'larder:{shop}:invalidate' '{"id":"import-18","urls":["/products/7"]}'
    /// redis-cli publish 'larder:{shop}:invalidate' '{"id":"import-19","all":true}'
    /// ```
    ///
    /// The lists are `tags`, `urls`, `prefixes`, `routes` and `hosts`, all of literal texts; with
    /// `"soft":true` what is hit goes stale instead of void. An `id` is acted on once. A message is a
    /// hint, not an acknowledgement: one that no node is there to hear is lost.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// let larder = larder::Larder::builder()
    ///     .redis("redis://127.0.0.1:6379")
    ///     .namespace("shop")
    ///     .build()
    ///     .await?;
    /// # drop(larder);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis(mut self, redis: impl Into<super::redis::Redis>) -> Self {
        self.redis = Some(redis.into());
        self
    }

    /// Builds the handle. Waits for nothing today; it is asynchronous because other tiers will need
    /// a runtime.
    ///
    /// # Errors
    ///
    /// Fails if a setting can not work: a namespace that is empty, longer than 64 bytes or has other
    /// characters than letters, digits, `-`, `_` and `.`; a name that a structured field can not
    /// carry; a memory that can not hold a body of the length allowed; an address of a Redis that can
    /// not be read, and a Redis at all outside of a tokio runtime.
    pub async fn build(self) -> Result<Larder, Error> {
        check_name(ErrorKind::Configuration, "namespace", &self.namespace)?;
        let name = Some(self.checked_name()?).filter(|_| self.cache_status);
        let first = Snapshot::first(self.clock.now());
        #[cfg(feature = "redis")]
        let (second, writer) = match &self.redis {
            None => (None, None),
            Some(redis) => {
                let redis = redis.clone().locking(self.flight_lock);
                let (tier, writer) = redis.tier(&self.namespace, &self.clock, self.max_body)?;
                (Some(tier), Some(writer))
            }
        };
        #[cfg(feature = "redis")]
        let relay = second.as_ref().map(|second| self.relay(second));
        #[cfg(feature = "redis")]
        let fence = match &relay {
            Some(_) => Fence::among_others(),
            None => Fence::new(),
        };
        #[cfg(not(feature = "redis"))]
        let (second, fence) = (None, Fence::new());
        let core = Core {
            store: Memory::new(self.memory, self.max_body)?,
            second,
            clock: self.clock,
            fence,
            #[cfg(feature = "redis")]
            relay,
            flights: Arc::new(Flights::new()),
            counters: Counters::default(),
            #[cfg(feature = "data")]
            values: super::Values::default(),
            routes: Arc::new(RouteStates::new()),
            durations: Durations::default(),
            windows: Windows::new(first),
            #[cfg(feature = "metrics")]
            published: super::Published::default(),
            #[cfg(feature = "admin")]
            insight: super::Insight::default(),
            namespace: self.namespace.into(),
            hits: name.as_ref().and_then(HitMembers::of),
            name,
            max_body: self.max_body,
            memory: self.memory,
            // As much again as what is stored: fills in progress are what will be stored next.
            max_buffered: self.memory.max(self.max_body),
            buffered: AtomicU64::new(0),
            layers: AtomicUsize::new(0),
            packers: Semaphore::new(packers()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let core = Arc::new(core);
        #[cfg(feature = "redis")]
        if let (Some(writer), Some(relay)) = (writer, &core.relay) {
            super::redis::start(&core, writer);
            relay.start(&core);
        }
        Ok(started(core))
    }

    /// Returns the name in `Cache-Status`, if that and the longest body can work.
    fn checked_name(&self) -> Result<Name, Error> {
        let name = Name::new(&self.name).ok_or_else(|| {
            let message = format!(
                "name `{}` can not stand in Cache-Status; use printable ASCII characters",
                self.name.escape_debug()
            );
            Error::new(ErrorKind::Configuration, message)
        })?;
        if self.max_body == 0 {
            let message = "max_body of 0 bytes would store nothing; leave the layer out instead";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(name)
    }

    /// Returns the way to the other nodes of a second tier.
    #[cfg(feature = "redis")]
    fn relay(&self, second: &SecondTier) -> Arc<Relay> {
        let is_strict = self.consistency == Consistency::Strict;
        let connections = second.connections().clone();
        Arc::new(Relay::new(connections, Arc::clone(&self.clock), is_strict))
    }
}

/// Returns the handle, with what goes on by itself from here on.
fn started(core: Arc<Core>) -> Larder {
    #[cfg(feature = "metrics")]
    core.publish_from_now_on();
    Larder { core }
}

/// Half of the cores, at least one.
fn packers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}
