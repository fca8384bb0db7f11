//! What a run reads from the cache while it goes on, so that what it makes of it dies with it.
//!
//! A page that is made of cached values has to be void when one of them is. Its handler reads the
//! values in its own task, and what is read is noted in a task-local place that the one who runs the
//! handler has set up. A task that the handler spawns has a place of its own only if it is given one:
//! [`inherit`].

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::clock::Timestamp;

tokio::task_local! {
    static PLACE: Gathering;
}

/// Where the tags of what a run has read are noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathering(Arc<Mutex<Gathered>>);

/// What a run has read.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    pub(crate) tags: Vec<Arc<str>>,
    /// When the oldest of the values was filled; `NEVER` if there was none.
    pub(crate) oldest: Timestamp,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            oldest: Timestamp::NEVER,
        }
    }
}

impl Gathering {
    /// The most tags that are kept: one more than what is stored may have, so that it is not stored.
    const MOST: usize = 65;

    /// Runs `future` with this as its place.
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        PLACE.scope(self.clone(), future)
    }

    /// Runs `work` with this as its place.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        PLACE.sync_scope(self.clone(), work)
    }

    /// Returns the place of the task that asks, if it has one.
    pub(crate) fn current() -> Option<Self> {
        PLACE.try_with(Self::clone).ok()
    }

    /// Notes in the place of this task, if it has one, that something with these tags was read.
    pub(crate) fn note<'a>(tags: impl IntoIterator<Item = &'a Arc<str>>, filled: Timestamp) {
        // A task without a place makes nothing that is stored.
        let _ = PLACE.try_with(|place| place.add(tags, filled));
    }

    /// Returns what was noted so far.
    pub(crate) fn so_far(&self) -> Gathered {
        self.locked().clone()
    }

    fn add<'a>(&self, tags: impl IntoIterator<Item = &'a Arc<str>>, filled: Timestamp) {
        let mut gathered = self.locked();
        gathered.oldest = gathered.oldest.min(filled);
        for tag in tags {
            if gathered.tags.len() < Self::MOST && !gathered.tags.contains(tag) {
                gathered.tags.push(Arc::clone(tag));
            }
        }
    }

    /// A list is whole between any two of its operations, so one that was poisoned is good.
    fn locked(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a future that is to be spawned note what it reads where the present task does.
///
/// A response inherits the tags of the values that its handler reads, so that an invalidation of
/// the value makes the page void, too. That works within the task of the handler; a part of the work
/// that is spawned has to be told:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// async fn reads_values() {}
///
/// tokio::spawn(larder::inherit(reads_values())).await.unwrap();
/// # }
/// ```
///
/// What is read until the last byte of the body is there counts. Outside of a handler run it changes
/// nothing.
pub fn inherit<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = Gathering::current().unwrap_or_default();
    PLACE.scope(place, future)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Arc<str> {
        name.into()
    }

    #[tokio::test]
    async fn what_a_run_reads_is_noted_once_and_by_spawned_tasks_that_inherit() {
        let place = Gathering::default();
        place
            .scope(async {
                Gathering::note([&tag("a"), &tag("b")], Timestamp::from_millis(9));
                Gathering::note([&tag("a")], Timestamp::from_millis(7));
                let spawned = inherit(async {
                    Gathering::note([&tag("c")], Timestamp::NEVER);
                });
                tokio::spawn(spawned).await.unwrap();
                tokio::spawn(async { Gathering::note([&tag("d")], Timestamp::NEVER) })
                    .await
                    .unwrap();
            })
            .await;
        let gathered = place.so_far();
        assert_eq!(gathered.tags, [tag("a"), tag("b"), tag("c")]);
        assert_eq!(gathered.oldest, Timestamp::from_millis(7));
    }

    #[test]
    fn too_many_tags_are_one_too_many_to_be_stored() {
        let place = Gathering::default();
        let tags: Vec<_> = (0..1000).map(|number| tag(&number.to_string())).collect();
        place.within(|| Gathering::note(&tags, Timestamp::NEVER));
        assert_eq!(place.so_far().tags.len(), 65);
    }
}
