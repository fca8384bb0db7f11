//! Values under the handlers, and the pages that are made of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod bulk;
mod crossing;
mod pages;
mod reading;
mod staleness;
mod writing;

use larder::{Larder, TestClock};

/// A handle and the clock that moves its time.
async fn larder() -> (Larder, TestClock) {
    let clock = TestClock::new();
    let larder = Larder::builder()
        .memory_bytes(64 << 20)
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    (larder, clock)
}
