//! What a handler reads of the cache's values while it runs and while its body is read, for the
//! response that it makes of them.

use std::{future::Future, sync::Arc};

use super::kept::Kept;
#[cfg(feature = "data")]
use crate::handle::Gathering;
use crate::{clock::Timestamp, entry::Head, handle::Core};

/// Where the values are noted that one handler run reads.
///
/// Every run has a place, also before anybody has named a kind of values: it may be the first to.
#[cfg(feature = "data")]
#[derive(Clone, Debug)]
pub(crate) struct Reads(Gathering);

#[cfg(feature = "data")]
impl Reads {
    /// Returns the place of a run that begins now.
    pub(crate) fn begin() -> Self {
        Self(Gathering::default())
    }

    /// Says whether a body that is read now may read values.
    pub(crate) fn may_grow(core: &Core) -> bool {
        core.has_values()
    }

    /// Does a part of the run.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.within(work)
    }

    /// Returns the head of what is stored with what was read after it was made, or as it is.
    pub(crate) fn grown(&self, head: &Arc<Head>) -> Arc<Head> {
        let read = self.0.so_far();
        if read.tags.iter().all(|tag| head.tags.contains(tag)) {
            return Arc::clone(head);
        }
        Arc::new(head.with_more(&read.tags, read.oldest))
    }

    fn scope<F: Future>(&self, run: F) -> impl Future<Output = F::Output> + use<F> {
        let place = self.0.clone();
        async move { place.scope(run).await }
    }

    fn so_far(&self) -> (Vec<Arc<str>>, Timestamp) {
        let read = self.0.so_far();
        (read.tags, read.oldest)
    }
}

/// There are no values.
#[cfg(not(feature = "data"))]
#[derive(Clone, Debug)]
pub(crate) struct Reads;

#[cfg(not(feature = "data"))]
#[expect(
    clippy::unused_self,
    reason = "this has the face of the one with values"
)]
impl Reads {
    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn may_grow(_: &Core) -> bool {
        false
    }

    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub(crate) fn grown(&self, head: &Arc<Head>) -> Arc<Head> {
        Arc::clone(head)
    }

    fn scope<F: Future>(&self, run: F) -> F {
        run
    }

    fn so_far(&self) -> (Vec<Arc<str>>, Timestamp) {
        (Vec::new(), Timestamp::NEVER)
    }
}

impl Kept {
    /// Runs the handler so that the values that it reads are noted.
    pub(crate) fn reading<F: Future>(&self, run: F) -> impl Future<Output = F::Output> + use<F> {
        self.reads.scope(run)
    }

    /// Returns the tags of the values that the handler has read so far.
    pub(crate) fn inherited_tags(&self) -> Vec<Arc<str>> {
        self.reads.so_far().0
    }

    /// Returns when the oldest of what the answer is made of was read: the beginning of this run, or
    /// of a fill whose value it has used.
    pub(crate) fn oldest(&self) -> Timestamp {
        self.reads.so_far().1.min(self.requested)
    }
}
