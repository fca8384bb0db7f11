//! The connections that requests share.
//!
//! A lane carries the commands of many requests at a time and answers them in order, so nobody has it
//! to himself: who asks gets a copy of the one on which the fewest answers are waited for. That one
//! is not behind a large answer if another is free of it. The pool makes lanes and replaces those that
//! broke; as long as all of them are well, it is not asked. What bb8-redis offers instead asks the
//! server before each command whether it is there, or never notices that it was gone. A lane knows by
//! a flag that all its copies share.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bb8::{ManageConnection, Pool, QueueStrategy};
use redis::{ErrorKind, RedisError, RedisResult, aio::ConnectionLike};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    dedicated::{Dedicated, mailbox},
    fault::LastFault,
    gather::Driver,
    layout::Layout,
    link::Link,
    registry,
    release::Waiters,
    server_time::ServerTime,
    settings::Settings,
    source::{Address, Source},
};
use crate::error::Error;

/// After so many answers that did not come in time, one after another, a lane is given up: its
/// peer may have vanished without a word.
const MOST_SILENCES: u32 = 3;

/// An answer that did not come in time counts as so many who wait: whoever gave up waits no longer, and
/// the lane may still be stuck. It is not left alone for good, or it would never be found well again.
const SILENCE_COUNTS_AS: usize = 16;

/// How old a lane is at the least before it is given up to look for the primary elsewhere.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// One connection of the pool, and what its copies have found.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) link: Link,
    pub(super) state: Arc<LaneState>,
}

/// What all copies of a lane know of it.
#[derive(Debug)]
pub(super) struct LaneState {
    is_broken: AtomicBool,
    /// How many wait for answers.
    waiting: Arc<AtomicUsize>,
    /// How many answers in a row did not come in time.
    silences: AtomicU32,
    made: Instant,
    generation: u64,
    /// What the connection lives by, if it does not see to that itself.
    #[expect(dead_code, reason = "dropping it is what it is for")]
    driver: Option<Driver>,
}

impl LaneState {
    /// Returns how busy the lane seems to be.
    fn load(&self) -> usize {
        let silences = usize::try_from(self.silences.load(Ordering::Relaxed)).unwrap_or_default();
        self.waiting.load(Ordering::Relaxed) + SILENCE_COUNTS_AS * silences
    }

    /// Counts one who waits for an answer, until what is returned is dropped.
    pub(super) fn waits(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(self)
    }

    pub(super) fn answered(&self) {
        if self.silences.load(Ordering::Relaxed) != 0 {
            self.silences.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn was_silent(&self) {
        if self.silences.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_SILENCES {
            self.give_up();
        }
    }

    /// Has the pool replace the lane.
    pub(super) fn give_up(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Has the pool replace the lane by one that may lead to another server, but not over and over.
    pub(super) fn look_for_another(&self) {
        if self.made.elapsed() >= SHORTEST_LIFE {
            self.give_up();
        }
    }
}

/// One who waits for an answer on a lane.
#[derive(Debug)]
pub(super) struct Waits<'a>(&'a LaneState);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The lanes for one kind of work.
pub(super) struct Lanes {
    manager: LaneManager,
    pool: Pool<LaneManager>,
    number: usize,
}

impl Lanes {
    /// Returns as many lanes, none of which has been made yet.
    pub(super) fn new(manager: &LaneManager, number: u32) -> Self {
        let manager = LaneManager {
            made: Arc::default(),
            ..manager.clone()
        };
        let pool = Pool::builder()
            .max_size(number)
            .min_idle(number)
            .max_lifetime(None)
            .idle_timeout(None)
            .retry_connection(false)
            .queue_strategy(QueueStrategy::Fifo)
            .build_unchecked(manager.clone());
        Self {
            manager,
            pool,
            number: usize::try_from(number).unwrap_or(usize::MAX),
        }
    }

    /// Returns a copy of a lane. None if there is none until then.
    pub(super) async fn lane(&self, deadline: Instant) -> Option<Lane> {
        if let Some(lane) = self.least_busy() {
            return Some(lane);
        }
        // Seldom, and large.
        let got = Box::pin(timeout_at(deadline, self.pool.get())).await.ok()?;
        got.ok().map(|lane| Lane::clone(&lane))
    }

    /// Returns the lane on which the fewest wait. None if not all of them are there and well: the pool
    /// has to see to them then.
    pub(super) fn least_busy(&self) -> Option<Lane> {
        let made = self.manager.made.load();
        let all_are_well =
            made.len() >= self.number && !made.iter().any(|lane| self.manager.is_broken(lane));
        let lanes = made.iter().filter(|_| all_are_well);
        lanes.min_by_key(|lane| lane.state.load()).cloned()
    }
}

/// Makes lanes, for the pool. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct LaneManager {
    source: Source,
    /// Where lanes come from, if it is elsewhere.
    pool: Option<Source>,
    layout: Layout,
    limit: Duration,
    /// Lanes of an earlier generation were given up.
    generation: Arc<AtomicU64>,
    /// The lanes that were made and have not been found broken.
    made: Arc<ArcSwap<Vec<Lane>>>,
    last_fault: LastFault,
    time: ServerTime,
    waiters: Waiters,
}

impl LaneManager {
    pub(super) fn new(
        address: &Address,
        layout: Layout,
        settings: &Settings,
        last_fault: LastFault,
        time: ServerTime,
    ) -> Result<Self, Error> {
        Ok(Self {
            source: Source::parse(address)?,
            pool: address.pool.clone().map(Source::Pool),
            waiters: Waiters::on(&layout.shared("released")),
            layout,
            limit: settings.connect_limit,
            generation: Arc::default(),
            made: Arc::default(),
            last_fault,
            time,
        })
    }

    /// Returns who waits to hear of the ends of other nodes' runs.
    pub(super) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Has the pool replace every lane that there is.
    pub(super) fn give_all_up(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a connection that does not belong to the pool.
    pub(super) async fn dedicated(&self) -> RedisResult<Dedicated> {
        let (sender, mailbox) = mailbox(self.waiters.clone());
        let connecting = async { Ok((self.source.connect(Some(sender)).await?, ())) };
        let (link, ()) = self.greeted(connecting).await?;
        Ok(Dedicated::new(link, mailbox))
    }

    /// Greets on a connection that is being made, which is returned with what belongs to it.
    async fn greeted<T>(
        &self,
        connecting: impl Future<Output = RedisResult<(Link, T)>>,
    ) -> RedisResult<(Link, T)> {
        let connecting = async {
            let (mut link, rest) = connecting.await?;
            registry::greet(&self.layout, &mut link).await?;
            let sent = self.time.now();
            let answer = link.req_packed_command(&ServerTime::question()).await?;
            self.time.note(sent, &answer);
            Ok((link, rest))
        };
        timeout(self.limit, connecting).await.unwrap_or_else(|_| {
            let late = "no connection within the limit";
            Err(RedisError::from((ErrorKind::Io, late)))
        })
    }

    fn is_broken(&self, lane: &Lane) -> bool {
        lane.state.is_broken.load(Ordering::Relaxed)
            || lane.state.generation != self.generation.load(Ordering::Relaxed)
    }
}

impl ManageConnection for LaneManager {
    type Connection = Lane;
    type Error = RedisError;

    async fn connect(&self) -> RedisResult<Lane> {
        let generation = self.generation.load(Ordering::Relaxed);
        let source = self.pool.as_ref().unwrap_or(&self.source);
        let waiting = Arc::default();
        let linked = self.greeted(source.lane(&waiting)).await;
        let (link, driver) = linked.inspect_err(|error| self.last_fault.note(error))?;
        let lane = Lane {
            link,
            state: Arc::new(LaneState {
                is_broken: AtomicBool::new(false),
                waiting,
                silences: AtomicU32::new(0),
                made: Instant::now(),
                generation,
                driver,
            }),
        };
        self.made.rcu(|made| {
            let well = made.iter().filter(|made| !self.is_broken(made));
            well.chain([&lane]).cloned().collect::<Vec<_>>()
        });
        Ok(lane)
    }

    async fn is_valid(&self, lane: &mut Lane) -> RedisResult<()> {
        if self.is_broken(lane) {
            let broken = "the connection was found broken";
            return Err(RedisError::from((ErrorKind::Io, broken)));
        }
        Ok(())
    }

    fn has_broken(&self, lane: &mut Lane) -> bool {
        self.is_broken(lane)
    }
}
