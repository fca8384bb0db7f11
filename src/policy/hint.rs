//! What a handler says to the cache about the response it returns.

use std::{sync::Arc, time::Duration};

use super::{Policy, tag};

/// What a handler tells the cache about its response, as a response extension.
///
/// It wins over the policy of the route and over `Cache-Control` as far as lifetimes go, and never
/// reaches the client. A route without a policy is looked up from its first hint on.
///
/// With the feature `axum` it is a part of a response; two of them in one response are laid over
/// each other, and the one that is applied last counts.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::response::IntoResponse;
/// use larder::{CacheHint, mins};
///
/// async fn show() -> impl IntoResponse {
///     (CacheHint::ttl(mins(5)).tag("product:7"), "a product")
/// }
/// # }
/// ```
///
/// Elsewhere it is put into the extensions by hand:
///
/// ```
/// use larder::CacheHint;
///
/// let mut response = http::Response::new("mine alone");
/// response.extensions_mut().insert(CacheHint::no_store());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CacheHint {
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) no_store: bool,
    /// What an attribute declares for the handler.
    pub(crate) declared: Option<Arc<Policy>>,
}

impl CacheHint {
    /// Returns a hint that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the hint that the response is fresh for `ttl`, at most 7 days.
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    /// Returns the hint that the response may not be stored, or shared with those who wait for it.
    pub fn no_store() -> Self {
        Self {
            no_store: true,
            ..Self::default()
        }
    }

    /// Sets for how long after it went stale the response is served while a new one is fetched.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// Sets for how long after it went stale the response is served if the handler fails.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Adds a tag, literally: nothing in it is replaced.
    ///
    /// Control characters in it become U+FFFD and it is cut after 128 bytes, as in the purge of a
    /// tag. A response with more than 64 tags, those of the policy included, is not stored.
    pub fn tag(mut self, tag: &str) -> Self {
        let tag = tag::fitted(tag);
        // Kept up to one too many, by which it is seen that they are too many.
        if self.tags.len() <= tag::MAX_PER_RESPONSE
            && !self.tags.iter().any(|other| **other == *tag)
        {
            self.tags.push(tag.into());
        }
        self
    }

    /// Adds several tags, see [`tag`](Self::tag).
    pub fn tags<T: AsRef<str>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        tags.into_iter()
            .fold(self, |hint, tag| hint.tag(tag.as_ref()))
    }

    /// Returns this hint with `base` under it; the tags of both count, and so does either `no_store`.
    pub(crate) fn over(&self, base: &Self) -> Self {
        let own = Self {
            ttl: self.ttl.or(base.ttl),
            stale_while_revalidate: self.stale_while_revalidate.or(base.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(base.stale_if_error),
            tags: self.tags.clone(),
            no_store: self.no_store || base.no_store,
            declared: self.declared.as_ref().or(base.declared.as_ref()).cloned(),
        };
        own.tags(&base.tags)
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponseParts for CacheHint {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        let hint = match response.extensions().get::<Self>() {
            Some(base) => self.over(base),
            None => self,
        };
        response.extensions_mut().insert(hint);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::secs;

    #[test]
    fn tags_are_literal_each_once_and_made_to_fit() {
        let hint = CacheHint::new().tags(["{id}", "a", "a", "b\n"]);
        assert_eq!(
            hint.tags,
            ["{id}".into(), "a".into(), Arc::<str>::from("b\u{FFFD}")]
        );
    }

    #[test]
    fn one_tag_too_many_is_kept_to_be_seen_and_no_more() {
        let hint = CacheHint::new().tags((0..100_000).map(|tag| tag.to_string()));
        assert_eq!(hint.tags.len(), tag::MAX_PER_RESPONSE + 1);
    }

    #[cfg(feature = "axum")]
    #[test]
    fn of_two_hints_in_a_response_the_later_one_wins_and_neither_is_lost() {
        use axum::response::IntoResponse;

        let first = CacheHint::ttl(secs(1)).tag("a").stale_if_error(secs(9));
        let second = CacheHint::ttl(secs(2)).tag("b");
        let response = (first, second, CacheHint::no_store(), "body").into_response();
        let hint = response.extensions().get::<CacheHint>().unwrap();
        assert_eq!(hint.ttl, Some(secs(2)));
        assert!(hint.no_store && hint.stale_if_error == Some(secs(9)));
        assert_eq!(hint.tags.len(), 2);
    }
}
