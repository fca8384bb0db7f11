//! A stored response: what it says, how long it may be used, and what can make it void.

mod seal;

use std::sync::{Arc, atomic::AtomicU64};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub(crate) use self::seal::{Position, Seal};
use crate::{clock::Timestamp, key::Key};

/// One stored response, decoded and ready to be served.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The full key, compared on every read from another tier.
    pub(crate) key: Key,
    pub(crate) status: StatusCode,
    /// The end-to-end fields of the response as the handler sent them.
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: StoredBody,
    pub(crate) life: Life,
    pub(crate) seal: Seal,
    /// The tags by name, for those who look into the cache.
    pub(crate) tags: Box<[Arc<str>]>,
    /// How often it was served, for those who look into the cache.
    pub(crate) hits: AtomicU64,
}

/// The bytes of a stored body, as they are kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredBody {
    pub(crate) bytes: Bytes,
    pub(crate) coding: Coding,
    /// The length of the body as the handler sent it.
    pub(crate) length: u64,
}

/// What larder itself did to the bytes of a body at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As the handler sent it (which may itself be content-encoded).
    Identity,
    /// Compressed by larder; may be sent as it is to a client that accepts gzip.
    Gzip,
    /// Compressed by larder; never sent.
    Lz4,
}

/// The moments at which a stored response changes its standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// When the response was received.
    pub(crate) received: Timestamp,
    /// How old it was then, in milliseconds (RFC 9111 §4.2.3 `corrected_initial_age`).
    pub(crate) initial_age: u64,
    /// From here on it is stale.
    pub(crate) fresh_until: Timestamp,
    /// From here on a reader starts a refresh although it is fresh; `NEVER` when not wanted.
    pub(crate) refresh_from: Timestamp,
    /// Until here a stale response is served at once while it is refreshed (RFC 5861 §3).
    pub(crate) revalidate_until: Timestamp,
    /// Until here it is served when the handler fails (RFC 5861 §4).
    pub(crate) error_until: Timestamp,
    /// From here on it is of no use to anybody, validation included.
    pub(crate) gone_at: Timestamp,
}
