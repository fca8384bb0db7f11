//! What is counted of the second tier.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::observe::RedisStatistics;

/// Counters of one second tier.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) corrupt: Count,
    pub(super) errors: Count,
    pub(super) written: Count,
    pub(super) dropped: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    pub(super) fn statistics(&self) -> RedisStatistics {
        RedisStatistics {
            hits: self.hits.get(),
            misses: self.misses.get(),
            corrupt: self.corrupt.get(),
            errors: self.errors.get(),
            written: self.written.get(),
            dropped: self.dropped.get(),
            ..RedisStatistics::default()
        }
    }
}
