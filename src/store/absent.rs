//! The store of a build without the feature `memory`: it takes nothing and has nothing, but knows
//! which URLs are uncacheable.

#![expect(
    clippy::unused_self,
    reason = "this has the face of the store in memory"
)]

use std::sync::Arc;

use http::HeaderMap;

use super::{Found, markers::Markers};
use crate::{clock::Timestamp, entry::Entry, error::Error, key::Key};

/// Nothing, behind the face of the store in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    markers: Markers,
}

impl Memory {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "this has the face of the store in memory"
    )]
    pub(crate) fn new(_capacity: u64, _max_body: u64) -> Result<Self, Error> {
        Ok(Self {
            markers: Markers::new(),
        })
    }

    pub(crate) fn find(&self, _: &[u8], _: &HeaderMap) -> Found {
        Found::Miss
    }

    pub(crate) fn candidates(&self, _: &[u8]) -> Vec<Arc<Entry>> {
        Vec::new()
    }

    pub(crate) fn insert(&self, primary: &Key, _: Arc<Entry>) -> bool {
        self.markers.unset(primary);
        false
    }

    pub(crate) fn remove(&self, _: &[u8]) -> bool {
        false
    }

    pub(crate) fn mark_uncacheable(&self, primary: &[u8], until: Timestamp) {
        self.markers.set(primary, until);
    }

    pub(crate) fn is_uncacheable(&self, primary: &[u8], now: Timestamp) -> bool {
        self.markers.is_set(primary, now)
    }

    pub(crate) fn sweep(&self, _: Timestamp) -> usize {
        0
    }

    pub(crate) fn visit(&self, _: impl FnMut(&Arc<Entry>) -> bool) {}

    pub(crate) fn len(&self) -> usize {
        0
    }

    pub(crate) fn weight(&self) -> u64 {
        Markers::BYTES
    }

    pub(crate) fn refused(&self) -> u64 {
        0
    }

    pub(crate) fn evicted(&self) -> u64 {
        0
    }
}
