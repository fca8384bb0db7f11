//! What values under the handlers share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Core, Gathering};
use crate::{
    entry::Entry,
    error::Error,
    flight::Flights,
    store::structures::{self, LocalStructures, Operation, Reply},
};

/// What a load of a value brought, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Brought(Arc<Entry>),
    Failed(Arc<dyn std::error::Error + Send + Sync>),
}

/// What values under the handlers share.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) loads: Arc<Flights<(), Load>>,
    structures: LocalStructures,
    /// Whether there are any that handlers may read.
    are_read: AtomicBool,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            loads: Arc::new(Flights::new()),
            structures: LocalStructures::default(),
            are_read: AtomicBool::new(false),
        }
    }
}

impl Core {
    /// Returns the way to Redis, if there is one.
    #[cfg(feature = "redis")]
    pub(crate) fn redis(&self) -> Option<&crate::store::redis::Connections> {
        self.second
            .as_ref()
            .map(crate::store::SecondTier::connections)
    }

    /// Carries out operations on structures, each with a reply or the reason why not.
    ///
    /// # Errors
    ///
    /// Fails if what keeps them gave no answer.
    #[cfg_attr(
        not(feature = "redis"),
        expect(clippy::unused_async, reason = "with a shared tier it waits for Redis")
    )]
    pub(crate) async fn structures(
        &self,
        operations: &[Operation],
    ) -> Result<Vec<Result<Reply, Error>>, Error> {
        #[cfg(feature = "redis")]
        if let Some(connections) = self.redis() {
            let budget = connections.settings().background_budget;
            return structures::run(connections, operations, budget).await;
        }
        Ok(self.values.structures.run(operations, self.clock.now()))
    }

    /// Says that handlers may read values, so that their runs have to note which.
    pub(crate) fn has_values(&self) {
        self.values.are_read.store(true, Ordering::Release);
    }

    /// Returns the place of a handler run that begins now, if it may read values.
    pub(crate) fn gathering(&self) -> Option<Gathering> {
        let are_read = self.values.are_read.load(Ordering::Acquire);
        are_read.then(Gathering::default)
    }
}
