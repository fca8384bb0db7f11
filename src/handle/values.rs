//! What values under the handlers share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Core, Gathering};
use crate::{entry::Entry, flight::Flights};

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
    /// Whether there are any that handlers may read.
    are_read: AtomicBool,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            loads: Arc::new(Flights::new()),
            are_read: AtomicBool::new(false),
        }
    }
}

impl Core {
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
