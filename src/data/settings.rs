//! How long values live, and how they are kept.

use std::time::Duration;

use super::{Encoding, Typed};

/// The longest lifetime: a week, as for responses.
pub(super) const MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) stale_while_revalidate: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) refresh_ahead: Option<f64>,
    pub(super) jitter: f64,
    pub(super) encoding: Encoding,
    pub(super) wait_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(60),
            negative_ttl: Some(Duration::from_secs(10)),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            refresh_ahead: None,
            jitter: 0.0,
            encoding: Encoding::Json,
            wait_limit: Duration::from_secs(5),
        }
    }
}

impl<T> Typed<T> {
    /// Sets how long a value is fresh. Default: 60 s; at most 7 days. A load may say otherwise
    /// ([`Loading::ttl`](super::Loading::ttl)). Zero stores nothing.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.ttl = ttl.min(MOST))
    }

    /// Sets how long it is remembered that there is no such value. Default: 10 s; `None` forgets it
    /// at once. The windows in which values are returned stale are not for it.
    pub fn negative_ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        let ttl = ttl.into().map(|ttl| ttl.min(MOST));
        self.with(|settings| settings.negative_ttl = ttl)
    }

    /// Sets for how long after it went stale a value is returned at once while it is loaded anew.
    /// Default: zero.
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.with(|settings| settings.stale_while_revalidate = window.min(MOST))
    }

    /// Sets for how long after it went stale a value is returned if its load fails. Default: zero.
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.with(|settings| settings.stale_if_error = window.min(MOST))
    }

    /// Sets after which share of its lifetime a reader starts the refresh of a fresh value. Above 0
    /// and below 1; anything else is never, the default.
    pub fn refresh_ahead(self, share: f64) -> Self {
        let share = Some(share).filter(|share| *share > 0.0 && *share < 1.0);
        self.with(|settings| settings.refresh_ahead = share)
    }

    /// Shortens each lifetime by a random part, `share` of it at most, so that values that were
    /// loaded together do not expire together. From 0, the default, to 0.1.
    pub fn jitter(self, share: f64) -> Self {
        self.with(|settings| settings.jitter = share.clamp(0.0, 0.1))
    }

    /// Sets how values are written down. Default: JSON.
    pub fn encoding(self, encoding: Encoding) -> Self {
        self.with(|settings| settings.encoding = encoding)
    }

    /// Sets how long a reader waits for a load that another one began. Default: 5 s; then it loads
    /// for itself, with at most 8 such loads of one value at a time.
    pub fn wait_limit(self, wait: Duration) -> Self {
        self.with(|settings| settings.wait_limit = wait)
    }
}
