//! What values under the handlers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use super::Core;
#[cfg(feature = "redis")]
use crate::store::redis::registry::{Place, RowVersion, Seen};
use crate::{
    entry::{Entry, Position, Seal},
    error::Error,
    flight::Flights,
    invalidate::{Ack, Purge, ids},
    key::Key,
    observe::Kinds,
    policy::Target,
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
    /// Held by the one who compares the version of a row with what is stored here, and stores.
    pub(crate) rows: Mutex<()>,
    structures: LocalStructures,
    pub(crate) kinds: Kinds,
    /// Whether there are any that handlers may read.
    are_read: AtomicBool,
}

/// What a writer had seen before he committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    pub(crate) position: Position,
    /// What his value would be void by.
    pub(crate) targets: &'a [Target],
    pub(crate) key: &'a Key,
    /// The version of the row that he writes, and how long it is remembered.
    pub(crate) version: Option<(u64, Duration)>,
}

#[cfg(feature = "redis")]
impl Before<'_> {
    fn seen(&self) -> Seen<'_> {
        let Position {
            epoch, sequence, ..
        } = self.position;
        let row = self.version.map(|(version, kept_for)| RowVersion {
            key: self.key.clone(),
            version,
            kept_for,
        });
        Seen {
            place: Place {
                epoch,
                number: sequence,
            },
            targets: self.targets,
            row,
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Self {
            loads: Arc::new(Flights::new()),
            rows: Mutex::default(),
            structures: LocalStructures::default(),
            kinds: Kinds::default(),
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

    /// Invalidates, and returns besides the position right after it if what the writer had seen was
    /// still the last word. Nobody invalidates in between. What he has written may be stored as of
    /// that position, since whoever writes later stamps later.
    ///
    /// The version of his row is compared where there is a shared tier; here it has to be already.
    #[cfg_attr(
        not(feature = "redis"),
        expect(clippy::unused_async, reason = "with a shared tier it waits for Redis")
    )]
    pub(crate) async fn invalidate_after(
        &self,
        purge: &Purge,
        before: &Before<'_>,
    ) -> (Ack, Option<Position>) {
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            self.note_invalidated(purge);
            let seen = before.seen();
            let invalidated = relay.invalidate_after(&self.fence, purge, Some(&seen));
            let (ack, place) = invalidated.await;
            // What was invalidated here alone since, while Redis was away, makes it void.
            let position = place.map(|Place { epoch, number }| Position {
                epoch,
                sequence: number,
                local: before.position.local,
            });
            return (ack, position);
        }
        let seal = Seal::new(before.position, ids(before.targets));
        match self.fence.stamp_local_if_current(&seal, &ids(&purge.hard)) {
            Some(position) => {
                self.note_invalidated(purge);
                (Ack::Global, Some(position))
            }
            None => (self.invalidate_here(purge), None),
        }
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

    /// Notes that there is a kind of values, which handlers may read.
    pub(crate) fn note_values(&self) {
        self.values.are_read.store(true, Ordering::Release);
    }

    /// Says whether there is a kind of values that handlers may read.
    pub(crate) fn has_values(&self) -> bool {
        self.values.are_read.load(Ordering::Acquire)
    }
}
