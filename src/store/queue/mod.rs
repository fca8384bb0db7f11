//! Where do writes wait that are made later? In Redis, or in a file of this process.
//!
//! A queue has *lanes*, and a key always goes into the same one. Who works at a lane holds it alone,
//! takes its oldest entries in order, and settles them when they have been written; what was taken
//! and not settled is taken again, by whoever holds the lane then. So every entry whose adding was
//! acknowledged is delivered at least once, and those of one key in the order in which they were
//! added.
//!
//! What can not be delivered is buried with a reason, to be looked at and put back.

#[cfg(feature = "redis")]
mod arriving;
mod file;
#[cfg(feature = "redis")]
mod scripts;
#[cfg(feature = "redis")]
mod stream;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use self::file::FileQueue;
#[cfg(feature = "redis")]
use self::stream::StreamQueue;
use crate::error::{Error, ErrorKind};

/// One write that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// By what its lane knows it.
    pub(crate) id: Box<str>,
    pub(crate) key: Box<str>,
    pub(crate) value: Bytes,
}

/// What a lane gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) writes: Vec<Waiting>,
    /// How many others were removed meanwhile by somebody who may not. Each is told to one who takes.
    pub(crate) lost: u64,
}

/// One write that could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buried {
    pub(crate) id: Box<str>,
    pub(crate) key: Box<str>,
    pub(crate) value: Bytes,
    pub(crate) reason: Box<str>,
}

/// A durable queue of writes.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    File(Arc<FileQueue>),
    #[cfg(feature = "redis")]
    Stream(Arc<StreamQueue>),
}

/// The size of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) lanes: u16,
    /// How many entries may wait in all.
    pub(crate) most: u64,
}

impl Sizes {
    /// Returns the lane of a key: the same on every node and in every release.
    pub(crate) fn lane(self, key: &str) -> u16 {
        // FNV-1a, 64 bits: what matters is that it never changes.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u16::try_from(hash % u64::from(self.lanes.max(1))).unwrap_or_default()
    }
}

/// Carries a method out in the place that the queue has.
macro_rules! at {
    ($queue:expr, $place:ident => $call:expr) => {
        match $queue {
            Queue::File($place) => $call,
            #[cfg(feature = "redis")]
            Queue::Stream($place) => $call,
        }
    };
}

impl Queue {
    /// Opens a queue in the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// Fails if the file can not be opened, is no queue, or is open in another process.
    pub(crate) fn in_file(path: &Path, sizes: Sizes) -> Result<Self, Error> {
        Ok(Self::File(Arc::new(FileQueue::open(path, sizes)?)))
    }

    /// Returns the queue called `name` in Redis.
    #[cfg(feature = "redis")]
    pub(crate) fn in_redis(
        connections: &crate::store::redis::Connections,
        name: &str,
        sizes: Sizes,
    ) -> Self {
        Self::Stream(Arc::new(StreamQueue::new(connections, name, sizes)))
    }

    /// Looks whether the place keeps what it is given.
    ///
    /// # Errors
    ///
    /// Fails if it may evict it, and if it gave no answer.
    #[cfg(feature = "redis")]
    pub(crate) async fn check(&self) -> Result<(), Error> {
        match self {
            Self::File(_) => Ok(()),
            Self::Stream(queue) => queue.check().await,
        }
    }

    /// Adds a write. When it is done, the write is kept.
    ///
    /// # Errors
    ///
    /// Fails if the queue is full, and if it gave no answer: then the write may be in it all the same.
    pub(crate) async fn add(&self, key: &str, value: Bytes) -> Result<(), Error> {
        at!(self, queue => queue.add(key, value).await)
    }

    /// Returns the newest value of a key that waits.
    pub(crate) async fn pending(&self, key: &str) -> Result<Option<Bytes>, Error> {
        at!(self, queue => queue.pending(key).await)
    }

    /// Takes a lane, or holds it further, for `time` from now. Tells whether it is held.
    pub(crate) async fn hold(
        &self,
        lane: u16,
        holder: &str,
        time: Duration,
    ) -> Result<bool, Error> {
        at!(self, queue => queue.hold(lane, holder, time).await)
    }

    /// Lets a lane go.
    pub(crate) async fn release(&self, lane: u16, holder: &str) -> Result<(), Error> {
        at!(self, queue => queue.release(lane, holder).await)
    }

    /// Takes a lane, or holds it further, for `time` from now, and returns its oldest writes that are
    /// not settled; none if another holds it.
    #[cfg_attr(
        not(feature = "redis"),
        expect(unused_variables, reason = "a file is open in this process alone")
    )]
    pub(crate) async fn take(
        &self,
        lane: u16,
        holder: &str,
        time: Duration,
        count: usize,
    ) -> Result<Option<Taken>, Error> {
        match self {
            Self::File(queue) => queue.take(lane, count).await.map(Some),
            #[cfg(feature = "redis")]
            Self::Stream(queue) => queue.take(lane, holder, time, count).await,
        }
    }

    /// Returns by what a sink knows a write of a lane: the same however often it is delivered, that of
    /// no other write, and greater than those of all before it in its lane.
    #[cfg_attr(
        not(feature = "redis"),
        expect(
            unused_variables,
            reason = "a file numbers the writes of all lanes alike"
        )
    )]
    pub(crate) fn told_id(&self, lane: u16, id: &str) -> String {
        match self {
            Self::File(_) => id.to_owned(),
            #[cfg(feature = "redis")]
            Self::Stream(_) => {
                // Two lanes may have begun one in the same millisecond.
                let (millis, number) = id.split_once('-').unwrap_or((id, "0"));
                format!("{lane:05}-{millis:0>15}-{number:0>10}")
            }
        }
    }

    /// Removes writes that were delivered.
    pub(crate) async fn settle(&self, lane: u16, written: &[Waiting]) -> Result<(), Error> {
        at!(self, queue => queue.settle(lane, written).await)
    }

    /// Sets a write aside that can not be delivered.
    pub(crate) async fn bury(&self, lane: u16, write: &Waiting, why: &str) -> Result<(), Error> {
        at!(self, queue => queue.bury(lane, write, why).await)
    }

    /// Returns the oldest writes that were set aside.
    pub(crate) async fn buried(&self, count: usize) -> Result<Vec<Buried>, Error> {
        at!(self, queue => queue.buried(count).await)
    }

    /// Puts a write that was set aside back at the end of its lane, or away. Tells whether there was
    /// one.
    pub(crate) async fn dig_up(&self, id: &str, again: bool) -> Result<bool, Error> {
        at!(self, queue => queue.dig_up(id, again).await)
    }

    /// Returns how many writes wait.
    pub(crate) async fn len(&self) -> Result<u64, Error> {
        at!(self, queue => queue.len().await)
    }
}

fn full(most: u64) -> Error {
    let message = format!("{most} writes wait already; try again when the sink has caught up");
    Error::new(ErrorKind::Full, message)
}

fn unavailable(cause: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the queue of writes gave no answer: {cause}"),
    )
}
