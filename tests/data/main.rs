//! Values under the handlers, and the pages that are made of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod bulk;
mod crossing;
mod nodes;
mod pages;
mod reading;
mod staleness;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each suite uses its part")]
mod support;
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
