//! What a handler reads of the cache's values while it runs, for the response that it makes of them.

use std::{future::Future, sync::Arc};

use super::kept::Kept;
use crate::clock::Timestamp;
#[cfg(feature = "data")]
use crate::handle::{Core, Gathering};

/// Where the values are noted that one handler run reads.
#[cfg(feature = "data")]
#[derive(Clone, Debug)]
pub(crate) struct Reads(Option<Gathering>);

#[cfg(feature = "data")]
impl Reads {
    /// Returns the place of a run that begins now.
    pub(crate) fn begin(core: &Core) -> Self {
        Self(core.gathering())
    }
}

#[cfg(feature = "data")]
impl Kept {
    /// Runs the handler so that the values that it reads are noted.
    pub(crate) fn reading<F: Future>(&self, run: F) -> impl Future<Output = F::Output> + use<F> {
        let place = self.reads.0.clone();
        async move {
            match place {
                Some(place) => place.scope(run).await,
                None => run.await,
            }
        }
    }

    /// Goes on with the handler so that the values that it reads are noted.
    pub(crate) fn read_within<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.reads.0 {
            Some(place) => place.within(work),
            None => work(),
        }
    }

    /// Returns the tags of the values that the handler has read so far.
    pub(crate) fn inherited_tags(&self) -> Vec<Arc<str>> {
        let place = self.reads.0.as_ref();
        place.map_or_else(Vec::new, |place| place.so_far().tags)
    }

    /// Returns when the oldest of what the answer is made of was read: the beginning of this run, or
    /// of a fill whose value it has used.
    pub(crate) fn oldest(&self) -> Timestamp {
        let place = self.reads.0.as_ref();
        let oldest = place.map_or(Timestamp::NEVER, |place| place.so_far().oldest);
        oldest.min(self.requested)
    }
}

#[cfg(not(feature = "data"))]
#[expect(
    clippy::unused_self,
    reason = "this has the face of the one with values"
)]
impl Kept {
    pub(crate) fn reading<F: Future>(&self, run: F) -> F {
        run
    }

    pub(crate) fn read_within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub(crate) fn inherited_tags(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    pub(crate) fn oldest(&self) -> Timestamp {
        self.requested
    }
}
