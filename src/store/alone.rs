//! The second tier of a build without one: there is none, behind the face of one.

use std::sync::Arc;

use http::HeaderName;

use super::second::{Wanted, Whence};
use crate::{
    entry::{Entry, Position},
    key::Key,
    observe::RedisStatistics,
};

/// Nobody has one.
#[derive(Clone, Debug)]
pub(crate) enum SecondTier {}

/// Nobody holds one.
#[derive(Debug)]
pub(crate) enum Lock {}

impl Lock {
    pub(crate) fn unshared(&self) {
        match *self {}
    }
}

/// What trying came to, which nobody does.
#[derive(Debug)]
pub(crate) enum Locked {
    Held(Arc<Lock>),
    Busy(Rival),
    Unknown,
}

/// The lock of another node.
#[derive(Debug)]
pub(crate) enum Rival {}

impl Rival {
    pub(crate) fn begun(&self) -> Position {
        match *self {}
    }

    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn released(&mut self) -> Released {
        match *self {}
    }
}

/// How the run of another node has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Released {
    Open,
    Unshared,
}

impl SecondTier {
    pub(crate) fn has_lock(&self) -> bool {
        match *self {}
    }

    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn lock(&self, _: &Key, _: Position, _: bool) -> Locked {
        match *self {}
    }

    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn take_over(&self, _: &Key, _: Position, _: &Rival) -> Option<Arc<Lock>> {
        match *self {}
    }

    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn find(&self, _: Wanted<'_>) -> Option<Entry> {
        match *self {}
    }

    #[cfg(feature = "data")]
    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn find_many(
        &self,
        _: &[Key],
        _: u64,
        _: crate::clock::Timestamp,
    ) -> Vec<Option<Entry>> {
        match *self {}
    }

    pub(crate) fn put(&self, _: &Key, _: &Arc<Entry>, _: Whence) {
        match *self {}
    }

    pub(crate) fn remove(&self, _: &Key, _: Option<(&[HeaderName], &[u8])>) {
        match *self {}
    }

    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn flush(&self) {
        match *self {}
    }

    #[cfg(feature = "data")]
    #[expect(
        clippy::unused_async,
        reason = "this has the face of the tier in Redis"
    )]
    pub(crate) async fn flush_in_time(&self) {
        match *self {}
    }

    #[cfg(feature = "admin")]
    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        match *self {}
    }

    pub(crate) fn statistics(&self) -> RedisStatistics {
        match *self {}
    }
}
