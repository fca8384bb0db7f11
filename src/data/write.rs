//! Changes of the truth, and what they make void.
//!
//! The one rule: stamp after the commit. A reader that comes between the commit and the stamp may be
//! given the old value, since nobody has been told of the change yet; one that comes after the stamp
//! is not, and a load that began before it is void.

use std::{future::Future, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{Typed, run::Made};
use crate::{
    Larder,
    handle::{Before, Core},
    invalidate::{Ack, Purge},
    policy::Target,
};

/// When a write that ended without an answer is stamped again: two seconds, after which a commit
/// that was under way has been made or never will be.
const STAMPED_AGAIN: Duration = Duration::from_secs(2);

/// What a write brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written<O> {
    /// What the commit returned.
    pub output: O,
    /// How far the invalidation has come.
    pub ack: Ack,
    /// Whether the new value is stored: only if nobody else wrote it since this write began.
    pub stored: bool,
}

impl Larder {
    /// Makes a change, and everything that belongs to `targets` void: the way to write.
    ///
    /// When the future is ready, no reader that comes later is given what was made before the
    /// change. An error of the commit invalidates, too, since the change may have been made all the
    /// same; so does dropping the future before its end, at once and again two seconds later.
    ///
    /// ```
    /// use larder::{Larder, Target};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::io::Error> {
    /// # let larder = Larder::builder().build().await.unwrap();
    /// let written = larder
    ///     .writing([Target::tag("product:7"), Target::tag("products")], async {
    ///         // transaction.commit().await
    ///         Ok::<_, std::io::Error>(1)
    ///     })
    ///     .await?;
    /// assert_eq!(written.output, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the commit does.
    pub async fn writing<O, E>(
        &self,
        targets: impl IntoIterator<Item = Target>,
        commit: impl Future<Output = Result<O, E>>,
    ) -> Result<Written<O>, E> {
        let doubt = Doubt::about(self.core(), Purge::hard(targets));
        let output = commit.await;
        let ack = self.core().invalidate(&doubt.purge).await;
        doubt.settled();
        output.map(|output| Written {
            output,
            ack,
            stored: false,
        })
    }
}

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Makes a change of the truth, and stores the new value in the place of the old one.
    ///
    /// The old value, and what was made of it, are void when the future is ready. The new one is
    /// stored only if nobody has invalidated it since this write began, on any node; of two writes
    /// that cross, at most one is stored, and never the one that is not the truth. With Redis every
    /// node finds it there. An error of the commit invalidates and stores nothing.
    ///
    /// ```
    /// use larder::Larder;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::io::Error> {
    /// # let larder = Larder::builder().build().await.unwrap();
    /// let prices = larder.typed::<u64>("price");
    /// let written = prices
    ///     .write_through("7", 1_990, async {
    ///         // UPDATE … SET price = 1990 WHERE id = 7
    ///         Ok::<_, std::io::Error>(())
    ///     })
    ///     .await?;
    /// assert!(written.stored);
    /// assert_eq!(prices.get("7").await.as_deref(), Some(&1_990));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the commit does.
    pub async fn write_through<O, E>(
        &self,
        id: &str,
        value: T,
        commit: impl Future<Output = Result<O, E>>,
    ) -> Result<Written<O>, E> {
        self.write(id, value, None, commit).await
    }

    /// Does what [`write_through`](Self::write_through) does for a row that has a version which
    /// grows with every write of it.
    ///
    /// The new value is stored only if, besides, its version is later than any that was written so
    /// before: a write that comes late to the cache does not take the place of a later one. How late
    /// it may be is the lifetime of what the later one wrote; without Redis, also the time until that
    /// has to leave the memory.
    ///
    /// # Errors
    ///
    /// Fails if the commit does.
    pub async fn write_through_version<O, E>(
        &self,
        id: &str,
        version: u64,
        value: T,
        commit: impl Future<Output = Result<O, E>>,
    ) -> Result<Written<O>, E> {
        self.write(id, value, Some(version), commit).await
    }

    async fn write<O, E>(
        &self,
        id: &str,
        value: T,
        version: Option<u64>,
        commit: impl Future<Output = Result<O, E>>,
    ) -> Result<Written<O>, E> {
        let [one, all] = self.own_tags(id).map(Target::Tag);
        let doubt = Doubt::about(&self.core, Purge::hard([one.clone()]));
        let made = Made {
            version,
            ..Made::of(Some(Arc::new(value)))
        };
        // Before the commit: whoever stamps from here on may have written after it.
        let position = self.core.position();
        let output = commit.await?;
        let began = self.core.clock.now();
        // Alone, what is stored tells the versions: one such write at a time looks and stores.
        let turn = match version.filter(|_| self.core.second.is_none()) {
            Some(_) => Some(self.core.values.rows.lock().await),
            None => None,
        };
        let (ack, position) = if turn.is_none() || self.stored_version(id) < version {
            let kept_for = self.life(&made, began, true).gone_at.since(began);
            let before = Before {
                position,
                targets: &[one, all, Target::Everything],
                key: &self.key(id),
                version: version.map(|version| (version, kept_for)),
            };
            self.core.invalidate_after(&doubt.purge, &before).await
        } else {
            (self.core.invalidate(&doubt.purge).await, None)
        };
        doubt.settled();
        let entry = position.map(|position| self.entry(id, &made, position, began));
        let stored = match entry {
            Some(entry) => self.put_through(entry).await,
            None => false,
        };
        Ok(Written {
            output,
            ack,
            stored,
        })
    }
}

/// A write under way: stamped when it is dropped, since nobody knows then how it ended.
struct Doubt {
    core: Arc<Core>,
    purge: Purge,
    open: bool,
}

impl Doubt {
    fn about(core: &Arc<Core>, purge: Purge) -> Self {
        Self {
            core: Arc::clone(core),
            purge,
            open: true,
        }
    }

    /// Ends it, since all is invalidated.
    fn settled(mut self) {
        self.open = false;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.core.invalidate_here(&self.purge);
        if self.core.has_background() {
            let (core, purge) = (Arc::clone(&self.core), std::mem::take(&mut self.purge));
            self.core.spawn(async move {
                tokio::time::sleep(STAMPED_AGAIN).await;
                core.invalidate(&purge).await;
            });
        }
    }
}
