//! What a change that is under way will have made void.
//!
//! The stamp comes after the handler, since a fill that begins in between may read the old value,
//! and before the client can know of the change. If the run ends without an answer (the client left,
//! the handler panicked), the change may have been made, or may still be: it is stamped at once, and
//! again a little later.

use std::{sync::Arc, time::Duration};

use crate::{
    handle::Core,
    invalidate::{Ack, Purge},
    policy::Invalidations,
};

/// When a run that ended without an answer is stamped again: two seconds, after which a commit that
/// was under way has been made or never will be.
const STAMPED_AGAIN: Duration = Duration::from_secs(2);

/// The targets of one change. Armed, it stamps them if it is dropped.
#[derive(Debug)]
pub(crate) struct Pending {
    core: Arc<Core>,
    pub(crate) purge: Purge,
    collector: Invalidations,
    armed: bool,
}

impl Pending {
    pub(crate) fn new(core: &Arc<Core>, purge: Purge, collector: Invalidations) -> Self {
        Self {
            core: Arc::clone(core),
            purge,
            collector,
            armed: false,
        }
    }

    /// Has the targets stamped should the run end without an answer.
    pub(crate) fn arm(&mut self) {
        self.armed = true;
    }

    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// Returns whether there is nothing to stamp, as far as is known by now.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.collect();
        self.purge.is_empty()
    }

    /// Stamps, and returns when that is acknowledged. From here on a client that leaves no longer
    /// ends the run without a stamp: the change has been made.
    pub(crate) async fn stamp(&mut self) -> Ack {
        self.arm();
        self.collect();
        self.core.invalidate(&self.purge).await
    }

    /// Takes in what the handler named while it ran.
    fn collect(&mut self) {
        self.purge.hard.extend(self.collector.take());
    }

    /// Stamps once more after `delay`.
    pub(crate) fn stamp_later(&self, delay: Duration) {
        if !self.core.has_background() {
            return;
        }
        let (core, purge) = (Arc::clone(&self.core), self.purge.clone());
        self.core.spawn(async move {
            tokio::time::sleep(delay).await;
            core.invalidate(&purge).await;
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.armed && !self.is_empty() {
            self.core.invalidate_here(&self.purge);
            self.stamp_later(STAMPED_AGAIN);
        }
    }
}
