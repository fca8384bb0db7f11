//! Short words for lifetimes.

use std::time::Duration;

/// Returns a duration of `count` seconds.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(larder::secs(30), Duration::from_secs(30));
/// ```
#[must_use]
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns a duration of `count` minutes.
///
/// ```
/// assert_eq!(larder::mins(5), larder::secs(300));
/// ```
#[must_use]
pub const fn mins(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}

/// Returns a duration of `count` hours.
///
/// ```
/// assert_eq!(larder::hours(2), larder::mins(120));
/// ```
#[must_use]
pub const fn hours(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(3600))
}
