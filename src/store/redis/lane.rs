//! The connections that requests share.
//!
//! A lane carries the commands of many requests at a time and answers them in order, so it is taken
//! out of the pool only to be copied. What bb8-redis offers instead asks the server before each
//! command whether it is there, or never notices that it was gone. A lane knows by a flag that all
//! its copies share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8::ManageConnection;
use redis::{
    ErrorKind, RedisError, RedisResult,
    aio::{AsyncPushSender, ConnectionLike},
};
use tokio::time::{Instant, timeout};

use super::{
    dedicated::{Dedicated, mailbox},
    fault::LastFault,
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

/// How old a lane is at the least before it is given up to look for the primary elsewhere.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// One connection of the pool, and what its copies have found.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) link: Link,
    state: Arc<LaneState>,
}

#[derive(Debug)]
struct LaneState {
    is_broken: AtomicBool,
    /// How many answers in a row did not come in time.
    silences: AtomicU32,
    made: Instant,
    generation: u64,
}

impl Lane {
    pub(super) fn answered(&self) {
        if self.state.silences.load(Ordering::Relaxed) != 0 {
            self.state.silences.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn was_silent(&self) {
        if self.state.silences.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_SILENCES {
            self.give_up();
        }
    }

    /// Has the pool replace it.
    pub(super) fn give_up(&self) {
        self.state.is_broken.store(true, Ordering::Relaxed);
    }

    /// Has the pool replace it by one that may lead to another server, but not over and over.
    pub(super) fn look_for_another(&self) {
        if self.state.made.elapsed() >= SHORTEST_LIFE {
            self.give_up();
        }
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
        let link = self.link(&self.source, Some(sender)).await?;
        Ok(Dedicated::new(link, mailbox))
    }

    /// Makes a connection and greets on it.
    async fn link(
        &self,
        source: &Source,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> RedisResult<Link> {
        let connecting = async {
            let mut link = source.connect(pushes).await?;
            registry::greet(&self.layout, &mut link).await?;
            let sent = self.time.now();
            let answer = link.req_packed_command(&ServerTime::question()).await?;
            self.time.note(sent, &answer);
            Ok(link)
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
        let linked = self.link(source, None).await;
        let link = linked.inspect_err(|error| self.last_fault.note(error))?;
        Ok(Lane {
            link,
            state: Arc::new(LaneState {
                is_broken: AtomicBool::new(false),
                silences: AtomicU32::new(0),
                made: Instant::now(),
                generation,
            }),
        })
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
