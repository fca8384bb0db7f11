//! Where are responses kept? In this process, bounded by bytes.
//!
//! A URL's primary key leads to its response, or, if its responses vary, to a list of variants that
//! lead to theirs. Beside them stand marks at URLs that were found uncacheable.
//!
//! The store knows neither freshness nor invalidations: whether what it holds may be served is for
//! the rooms of policy and fence to say, so nothing has to be removed for correctness. Losing an
//! entry, by eviction or because it is too heavy, is a miss and nothing else.
//!
//! Not covered: waiting for a response that is being made (`flight`), and tiers outside of the
//! process.

mod markers;
#[cfg(feature = "memory")]
mod memory;
#[cfg(not(feature = "memory"))]
#[path = "absent.rs"]
mod memory;
#[cfg(feature = "write-behind")]
pub(crate) mod queue;
#[cfg(not(feature = "redis"))]
#[path = "alone.rs"]
pub(crate) mod redis;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod second;
#[cfg(feature = "memory")]
mod slot;
#[cfg(feature = "data")]
pub(crate) mod structures;
mod variants;

use std::sync::Arc;

use http::HeaderName;

pub(crate) use self::{
    markers::Markers,
    memory::Memory,
    redis::{Lock, Locked, Released, Rival, SecondTier},
    second::{Wanted, Whence},
    variants::MOST_VARIANTS,
};
use crate::entry::Entry;

/// What is stored for a request.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The most recent response that this request selects.
    Hit(Arc<Entry>),
    /// Responses of the URL, but none for this request. The newest varies on these fields.
    OtherVariants(Arc<[HeaderName]>),
    /// Nothing.
    Miss,
}
