//! Writes that are made later: acknowledged when they are kept, delivered at least once.
//!
//! A write is *acknowledged* when it stands in a Redis stream or, without Redis, in a file. From then
//! on it reaches the [`Sink`], whatever process ends in between; how safe it is until then is the
//! safety of what keeps it:
//!
//! | kept in | survives the end of this process | the end of the machine or of Redis |
//! | --- | --- | --- |
//! | a file | yes | yes: it is on the disk before it is acknowledged |
//! | Redis | yes | as its persistence is set: with `appendfsync always` yes; `everysec` may lose two seconds, also when Redis alone is killed; without `appendonly` what came since the last snapshot |
//!
//! # What is promised
//!
//! - **At least once.** What was delivered but not settled, because the process ended in between, is
//!   delivered again, with the same [`id`](Write::id): a sink that notes ids can tell.
//! - **In order per key.** A key has a lane, and one node at a time works at a lane. A node that was
//!   stopped for longer than it holds a lane may deliver once more after another has gone on; the id
//!   of a later write is the greater one within a lane.
//! - **Never dropped.** A sink that fails is tried again, later and later; a write that fails while
//!   others succeed is set aside with the reason ([`WriteBehind::buried`]) and can be put back. A full
//!   queue refuses. What somebody else removes from Redis can only be counted:
//!   [`Statistics::lost_writes`](crate::Statistics::lost_writes).
//! - **Never old.** The targets of a write are invalidated after the sink has it and before it is
//!   settled.

mod builder;
mod sink;
mod worker;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::encoding::{Encoding, decode};
use crate::{
    error::Error,
    store::queue::{Queue, Sizes},
};

pub use self::{
    builder::WriteBehindBuilder,
    sink::{Sink, SinkError, Write},
};

/// How often it is looked whether a queue is empty.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A queue of writes of type `T` that a [`Sink`] gets later. Made by
/// [`Larder::write_behind`](crate::Larder::write_behind). Cheap to clone.
#[must_use]
pub struct WriteBehind<T> {
    queue: Queue,
    sizes: Sizes,
    wake: Arc<[Notify]>,
    encoding: Encoding,
    kind: PhantomData<fn() -> T>,
}

/// A write that could not be delivered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Buried<T> {
    /// By what it is put back or discarded.
    pub id: String,
    /// The key of the write.
    pub key: String,
    /// The value; none if it can not be read as this type.
    pub value: Option<T>,
    /// What the sink said last.
    pub reason: String,
}

impl<T> WriteBehind<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Adds a write. When it returns, the write is kept and will be delivered.
    ///
    /// # Errors
    ///
    /// Fails if the queue is full ([`ErrorKind::Full`](crate::ErrorKind::Full)): whoever writes has to
    /// wait, or to write to the sink by himself. Fails also if the value can not be written down, and
    /// if what keeps the queue gives no answer: the write may be delivered all the same then.
    pub async fn add(&self, key: &str, value: &T) -> Result<(), Error> {
        let bytes = self.encoding.encode(value)?;
        self.queue.add(key, bytes).await?;
        if let Some(wake) = self.wake.get(usize::from(self.sizes.lane(key))) {
            wake.notify_one();
        }
        Ok(())
    }

    /// Returns the newest value of a key that was not delivered yet: what a reader of the truth would
    /// not find there.
    ///
    /// # Errors
    ///
    /// Fails if it is not of this type, and if what keeps the queue gives no answer.
    pub async fn pending(&self, key: &str) -> Result<Option<T>, Error> {
        let found = self.queue.pending(key).await?;
        found.map(|bytes| decode(&bytes)).transpose()
    }

    /// Returns how many writes wait.
    ///
    /// # Errors
    ///
    /// Fails if what keeps the queue gives no answer.
    pub async fn waiting(&self) -> Result<u64, Error> {
        self.queue.len().await
    }

    /// Waits until no write waits, at most until `deadline` from now. Tells whether that came.
    ///
    /// # Errors
    ///
    /// Fails if what keeps the queue gives no answer.
    pub async fn drain(&self, deadline: Duration) -> Result<bool, Error> {
        let end = Instant::now() + deadline;
        while self.waiting().await? > 0 {
            if Instant::now() >= end {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// Returns the oldest writes that were set aside, at most `count`.
    ///
    /// # Errors
    ///
    /// Fails if what keeps the queue gives no answer.
    pub async fn buried(&self, count: usize) -> Result<Vec<Buried<T>>, Error> {
        let buried = self.queue.buried(count).await?;
        Ok(buried
            .into_iter()
            .map(|write| Buried {
                id: write.id.into(),
                key: write.key.into(),
                value: decode(&write.value).ok(),
                reason: write.reason.into(),
            })
            .collect())
    }

    /// Puts a write that was set aside back at the end, as a new one. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// Fails if what keeps the queue gives no answer.
    pub async fn requeue(&self, id: &str) -> Result<bool, Error> {
        let there = self.queue.dig_up(id, true).await?;
        self.wake.iter().for_each(Notify::notify_one);
        Ok(there)
    }

    /// Throws a write away that was set aside. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// Fails if what keeps the queue gives no answer.
    pub async fn discard(&self, id: &str) -> Result<bool, Error> {
        self.queue.dig_up(id, false).await
    }
}

impl<T> Clone for WriteBehind<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            sizes: self.sizes,
            wake: Arc::clone(&self.wake),
            encoding: self.encoding,
            kind: PhantomData,
        }
    }
}

impl<T> fmt::Debug for WriteBehind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").finish_non_exhaustive()
    }
}
