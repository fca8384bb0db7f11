//! How long to wait before the next try.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_millis(50);

/// The longest wait: within a second of its coming back a server is asked again.
const LONGEST: Duration = Duration::from_millis(800);

/// Waits that double, less up to a quarter by chance, so that the nodes that lost one server do not
/// all come back at once.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) fn new() -> Self {
        Self(Duration::ZERO)
    }

    /// Says that it went well: the next failure is the first.
    pub(super) fn reset(&mut self) {
        self.0 = Duration::ZERO;
    }

    /// Waits: not at all after the first failure, which may be the end of a connection and nothing
    /// else.
    pub(super) async fn wait(&mut self) {
        let share = RandomState::new().hash_one(0_u8) % 250;
        let jitter = u32::try_from(share).unwrap_or_default();
        tokio::time::sleep(self.0 - self.0 * jitter / 1000).await;
        self.0 = (self.0 * 2).clamp(SHORTEST, LONGEST);
    }
}
