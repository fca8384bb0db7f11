//! Laying one policy over another.

use super::{Policy, settings::sort};

impl Policy {
    /// Returns this policy with `base` under it: of each setting the own one counts if it is set.
    ///
    /// Tags, [`vary`](Self::vary) and [`key_cookies`](Self::key_cookies) of both count: to lose one
    /// of them could share an answer too widely or keep it from a purge.
    ///
    /// ```
    /// use larder::{Policy, mins, secs};
    ///
    /// let base = Policy::ttl(mins(1)).stale_if_error(mins(60)).tag("shop");
    /// let product = Policy::ttl(secs(10)).tag("product:{id}").over(&base);
    /// // 10 s fresh, an hour on errors, both tags.
    /// # product.check()?;
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn over(&self, base: &Self) -> Self {
        Self {
            ttl: self.ttl.or(base.ttl),
            ttl_cap: self.ttl_cap.or(base.ttl_cap),
            negative_ttl: self.negative_ttl.or(base.negative_ttl),
            stale_while_revalidate: self.stale_while_revalidate.or(base.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(base.stale_if_error),
            soft_timeout: self.soft_timeout.or(base.soft_timeout),
            refresh_ahead: self.refresh_ahead.or(base.refresh_ahead),
            xfetch: self.xfetch.or(base.xfetch),
            jitter: self.jitter.or(base.jitter),
            tags: both(&self.tags, &base.tags, |template| template.source()),
            key: self.key.or(base.key),
            query: self.query.as_ref().or(base.query.as_ref()).cloned(),
            vary: both(&self.vary, &base.vary, |name| name.as_str()),
            key_cookies: both(&self.key_cookies, &base.key_cookies, |name| name),
            ignore_cookies: self
                .ignore_cookies
                .as_ref()
                .or(base.ignore_cookies.as_ref())
                .cloned(),
            identity: self.identity.as_ref().or(base.identity.as_ref()).cloned(),
            store_status: self
                .store_status
                .as_ref()
                .or(base.store_status.as_ref())
                .cloned(),
            store_set_cookie: self
                .store_set_cookie
                .as_ref()
                .or(base.store_set_cookie.as_ref())
                .cloned(),
            no_store: self.no_store.or(base.no_store),
            no_vary_search: self.no_vary_search.or(base.no_vary_search),
            compress: self.compress.or(base.compress),
            max_body: self.max_body.or(base.max_body),
            wait_limit: self.wait_limit.or(base.wait_limit),
            hold: self.hold.or(base.hold),
            mistakes: [self.mistakes.as_slice(), &base.mistakes].concat(),
        }
    }
}

/// Returns the members of both lists, sorted by name, each once.
fn both<T: Clone>(own: &[T], base: &[T], name: impl Fn(&T) -> &str) -> Vec<T> {
    let mut all = [own, base].concat();
    sort(&mut all, name);
    all
}
