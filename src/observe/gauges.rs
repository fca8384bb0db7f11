//! Figures that go up and down, of parts that set them themselves.

use std::sync::atomic::AtomicU64;

/// The gauges of one handle.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// How many invalidations wait for Redis to come back.
    pub(crate) outbox: AtomicU64,
}
