//! Does an answer of a route that has never brought anything to be stored look like something now?
//!
//! Keeping the head of a request costs allocations that nothing comes of on most routes without a
//! policy. So when many answers in a row were not fit to be stored, the requests are no longer kept,
//! and answers are only looked at. One that looks fit lets the next request be kept and its answer be
//! judged in full: what is guessed here never decides what is stored.

use http::{HeaderMap, Response, header};

use super::{
    known::Known,
    pump::is_marked,
    settings::{OWN_CACHE_CONTROL, Shared},
};
use crate::{
    policy::CacheHint,
    semantics::{
        directives::{Flag, ResponseDirectives, Scope},
        freshness,
    },
};

/// Looks at an answer to a request of which nothing was kept.
pub(crate) fn watch<B>(response: &mut Response<B>, shared: &Shared, known: &Known) {
    let may_be_fit = is_marked(response, &shared.core)
        || response
            .extensions()
            .get::<CacheHint>()
            .is_some_and(|hint| !hint.no_store)
        || shared.base.negative_ttl.is_some() && matches!(response.status().as_u16(), 404 | 410)
        || has_lifetime(response, shared);
    if may_be_fit {
        known.listen();
    }
    response.headers_mut().remove(OWN_CACHE_CONTROL);
}

fn has_lifetime<B>(response: &Response<B>, shared: &Shared) -> bool {
    let headers = response.headers();
    if !says_something(headers, shared) {
        return false;
    }
    let directives = ResponseDirectives::of(headers, &shared.targeted);
    let is_withheld = directives.private == Scope::Whole
        || directives.has(Flag::NoStore) && !directives.has(Flag::MustUnderstand);
    let date = freshness::date_of(headers, shared.core.clock.wall());
    let lifetime = freshness::lifetime(headers, &directives, response.status(), date, false);
    !is_withheld && lifetime.is_some()
}

fn says_something(headers: &HeaderMap, shared: &Shared) -> bool {
    let mut fields = shared.targeted.iter();
    headers.contains_key(header::CACHE_CONTROL)
        || headers.contains_key(header::EXPIRES)
        || fields.any(|name| headers.contains_key(name))
}
