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

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use crate::policy::{Policy, mins, secs};

    #[test]
    fn what_is_set_wins_and_what_is_not_is_taken_from_below() {
        let base = Policy::ttl(mins(1))
            .jitter(0.1)
            .query(["page"])
            .max_body(10);
        let all = Policy::ttl(secs(5)).ignore_query().over(&base);
        assert_eq!(all.ttl, Some(secs(5)));
        assert_eq!(all.jitter, Some(0.1));
        assert_eq!(all.query, Some(Vec::new()));
        assert_eq!(all.max_body, Some(10));
        assert_eq!(all.hold, None);
    }

    #[test]
    fn what_narrows_a_key_or_purges_an_answer_adds_up() {
        let base = Policy::new()
            .tag("shop")
            .vary(["x-b", "x-a"])
            .key_cookies(["theme"]);
        let own = Policy::new()
            .tag("product:{id}")
            .tag("shop")
            .vary(["X-A", "x-c"]);
        let all = own.over(&base);
        let tags: Vec<_> = all
            .tags
            .iter()
            .map(super::super::Template::source)
            .collect();
        assert_eq!(tags, ["product:{id}", "shop"]);
        assert_eq!(all.vary, ["x-a", "x-b", "x-c"]);
        assert_eq!(all.key_cookies, [Box::from("theme")]);
    }

    #[test]
    fn a_route_that_is_never_stored_stays_so_under_a_lifetime() {
        let all = Policy::ttl(mins(1)).over(&Policy::new().no_store());
        assert_eq!(all.no_store, Some(true));
    }

    #[test]
    fn each_setting_of_the_base_is_kept_by_an_empty_policy() {
        let base = Policy::ttl(secs(1))
            .ttl_cap(secs(2))
            .negative_ttl(secs(3))
            .stale_while_revalidate(secs(4))
            .stale_if_error(secs(5))
            .soft_timeout(secs(6))
            .refresh_ahead(0.7)
            .xfetch(1.0)
            .jitter(0.05)
            .tag("a")
            .key(crate::policy::Key::route())
            .query(["q"])
            .vary(["x-a"])
            .key_cookies(["k"])
            .ignore_cookies(["i"])
            .key_by_identity(|_| None)
            .store_status([StatusCode::GONE])
            .store_set_cookie(["s"])
            .no_store()
            .no_vary_search(true)
            .compress(false)
            .max_body(1)
            .wait_limit(secs(7))
            .hold(secs(8))
            .jitter(9.0)
            .vary(["\n"]);
        let text = format!("{base:?}");
        assert!(!text.contains("None") && !text.contains("[]"), "{text}");
        assert_eq!(format!("{:?}", Policy::new().over(&base)), text);
        assert_eq!(format!("{:?}", base.over(&Policy::new())), text);
    }
}
