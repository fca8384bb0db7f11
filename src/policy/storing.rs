//! The settings for which answers are stored, how, and how requests for them wait.

use std::time::Duration;

use http::StatusCode;

use super::{
    Compress, Policy,
    settings::{SetCookies, is_token},
};

impl Policy {
    /// Also stores answers of these statuses: of 204, 302, 307, 404 and 410.
    ///
    /// 200, 203, 301 and 308 are stored without being named. A 404 or 410 stays for
    /// [`negative_ttl`](Self::negative_ttl), the others for the [`ttl`](Self::ttl) of the policy.
    ///
    /// ```
    /// use http::StatusCode;
    /// use larder::{Policy, mins, secs};
    ///
    /// let product = Policy::ttl(mins(5))
    ///     .store_status([StatusCode::NOT_FOUND])
    ///     .negative_ttl(secs(2));
    /// ```
    pub fn store_status(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.store_status = Some(statuses.into_iter().collect());
        self
    }

    /// Stores answers although they set cookies, if they set none but these.
    ///
    /// The cookies are stored and sent to everybody who is served the answer: name only those
    /// whose value is the same for all.
    pub fn store_set_cookie<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.store_set_cookie = Some(SetCookies::Named(self.names("cookie", names, is_token)));
        self
    }

    /// Stores answers whatever cookies they set, see [`store_set_cookie`](Self::store_set_cookie).
    ///
    /// One session cookie among them, and all readers share that session.
    pub fn store_any_set_cookie(mut self) -> Self {
        self.store_set_cookie = Some(SetCookies::Any);
        self
    }

    /// Lets all requests of the route pass by the cache: nothing is looked up or stored.
    ///
    /// ```
    /// use larder::{Policy, Routes};
    ///
    /// Routes::new().get("/account", Policy::new().no_store()).build()?;
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn no_store(mut self) -> Self {
        self.no_store = Some(true);
        self
    }

    /// Sets how bodies are kept: `true` is [`Compress::Gzip`], `false` [`Compress::Off`].
    ///
    /// Only bodies of 1 KiB or more that are worth it are compressed.
    pub fn compress(mut self, how: impl Into<Compress>) -> Self {
        self.compress = Some(how.into());
        self
    }

    /// Sets the longest body that is stored, in bytes as the handler sends them.
    ///
    /// A longer one reaches its client all the same. Default: the limit of the store.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Sets how long a request waits for another one that fetches the same answer. Default: 5 s.
    pub fn wait_limit(mut self, wait: Duration) -> Self {
        self.wait_limit = Some(wait);
        self
    }

    /// Repeats each invalidation that a mutation of this route makes, once, after `delay`.
    ///
    /// For handlers that read from a database replica: set it above the replica's lag, so that what
    /// was filled from the old replica in between is voided too. Default: not repeated.
    ///
    /// ```
    /// use larder::{Policy, mins, secs};
    ///
    /// let product = Policy::ttl(mins(5)).hold(secs(2));
    /// ```
    pub fn hold(mut self, delay: Duration) -> Self {
        self.hold = Some(delay);
        self
    }
}
