//! What a second tier is asked for, and what it is given.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Uri};

use super::redis::Lock;
use crate::{clock::Timestamp, entry::Place, key::Key};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The full key of the URL.
    pub(crate) primary: &'a Key,
    /// The request that is to be answered.
    pub(crate) request: &'a HeaderMap,
    /// The fields that the responses of the URL vary on, if the first tier knows: that saves a
    /// round trip.
    pub(crate) names: Option<&'a [HeaderName]>,
    /// Where the request went, if it is known: most responses of a URL went there, and their targets
    /// need not be made again.
    pub(crate) place: Option<Place<'a>>,
    /// The local position of the fence now, before anything is asked.
    pub(crate) local: u64,
    pub(crate) now: Timestamp,
}

/// Where the request of an entry went.
#[derive(Clone, Debug)]
pub(crate) struct Whence {
    pub(crate) authority: Box<str>,
    pub(crate) uri: Uri,
    /// The route pattern that it was declared under.
    pub(crate) route: Option<Arc<str>>,
    /// What keeps other nodes from running the same handler, until the entry is written.
    pub(crate) lock: Option<Arc<Lock>>,
}

impl Whence {
    /// Says that other nodes need not wait for this entry, nor for the next one like it.
    pub(crate) fn stays_here(&self) {
        if let Some(lock) = &self.lock {
            lock.unshared();
        }
    }
}
