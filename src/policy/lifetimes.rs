//! The settings for how long an answer is used.

use std::time::Duration;

use super::Policy;

impl Policy {
    /// Returns a policy in which nothing is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a policy by which answers that say nothing of their own lifetime are fresh for `ttl`.
    ///
    /// It is meant for pages: answers of status 200, 203, 301 and 308, and of those that
    /// [`store_status`](Self::store_status) names. At most 7 days. Zero keeps answers for validation
    /// only.
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    /// Limits how long an answer is fresh, whatever it says of itself. Default: 7 days.
    pub fn ttl_cap(mut self, cap: Duration) -> Self {
        self.ttl_cap = Some(cap);
        self
    }

    /// Sets how long a stored 404 or 410 is fresh: at most 10 s, which is also the default.
    ///
    /// It does not let them be stored: [`store_status`](Self::store_status) does, in this policy, in that
    /// of the layer or in an attribute, and a [gateway](crate::CacheLayer::gateway) stores them anyway.
    /// Where nothing does, this has no effect, and such an answer says `detail=status` in `Cache-Status`.
    /// The lifetime that an answer gives itself wins. The windows of a policy in which pages are served
    /// stale are not for them.
    ///
    /// ```
    /// use http::StatusCode;
    /// use larder::{Policy, mins, secs};
    ///
    /// let product = Policy::ttl(mins(5))
    ///     .store_status([StatusCode::NOT_FOUND, StatusCode::GONE])
    ///     .negative_ttl(secs(2));
    /// ```
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// Sets for how long after it went stale an answer is still served while a new one is fetched.
    ///
    /// Nobody waits for that fetch. Counted from the end of freshness, not from storage: 60 s fresh
    /// and a window of 300 s make 360 s in all. A response's own `stale-while-revalidate` wins
    /// (RFC 5861 §3). Default: zero, 10 s in a `SwrLayer`.
    ///
    /// ```
    /// use larder::{Policy, mins, secs};
    ///
    /// // Never older than 5 minutes and a half, and no reader waits between 5 and 5 and a half.
    /// let list = Policy::ttl(mins(5)).stale_while_revalidate(secs(30));
    /// ```
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// Sets for how long after it went stale an answer is served if the handler fails.
    ///
    /// A failure is an error, a panic, a timeout, or a status of 408, 500, 502, 503 or 504. Counted from
    /// the end of freshness. A response's own `stale-if-error` wins (RFC 5861 §4). Default: zero,
    /// 1 h in a `SwrLayer`.
    ///
    /// ```
    /// use larder::{Policy, hours, mins};
    ///
    /// let list = Policy::ttl(mins(5)).stale_if_error(hours(1));
    /// ```
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Sets how long a request waits for the handler while a stale answer is at hand.
    ///
    /// After that it is given the stale one, and the handler goes on in the background.
    /// Default: as long as it takes.
    ///
    /// Only where the stale one may stand in for a failure: within the window of
    /// [`stale_if_error`](Self::stale_if_error), or that of a `stale-if-error` in the answer, in its
    /// [`CacheHint`](crate::CacheHint) or in the request. Where nothing gives such a window, this has no
    /// effect. Within that of [`stale_while_revalidate`](Self::stale_while_revalidate) nobody waits
    /// anyway.
    ///
    /// ```
    /// use larder::{Policy, hours, mins, secs};
    ///
    /// // From the sixth minute on a reader waits 1 s for a new one, then has the one of before.
    /// let list = Policy::ttl(mins(5)).stale_if_error(hours(1)).soft_timeout(secs(1));
    /// ```
    pub fn soft_timeout(mut self, wait: Duration) -> Self {
        self.soft_timeout = Some(wait);
        self
    }

    /// Sets after which share of its lifetime a reader starts the refresh of a fresh answer.
    ///
    /// Above 0 and at most 1, where 1 means never. Default: never, 0.9 in a `SwrLayer`.
    /// Lifetimes below 5 s are not refreshed ahead.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// // From 54 s on the first reader of each minute starts the refresh.
    /// let list = Policy::ttl(mins(1)).refresh_ahead(0.9);
    /// ```
    pub fn refresh_ahead(mut self, share: f64) -> Self {
        self.refresh_ahead = Some(share);
        self
    }

    /// Lets readers refresh early by chance, more likely the nearer the end and the dearer the fill.
    ///
    /// `beta` 1 is the value of the published algorithm (XFetch, Vattani, Chierichetti and
    /// Lowenstein 2015), larger ones refresh earlier, 0 is off. Default: off.
    pub fn xfetch(mut self, beta: f64) -> Self {
        self.xfetch = Some(beta);
        self
    }

    /// Shortens each lifetime by a random part, `share` of it at most.
    ///
    /// From 0 to 0.1; never lengthens. Default: 0.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Some(share);
        self
    }
}
