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
    let said = Said::read(response.headers(), shared);
    let may_be_fit = is_marked(response, &shared.core)
        || response
            .extensions()
            .get::<CacheHint>()
            .is_some_and(|hint| !hint.no_store)
        || shared.base.negative_ttl.is_some() && matches!(response.status().as_u16(), 404 | 410)
        || said.something && has_lifetime(response, shared);
    if may_be_fit {
        known.listen();
    }
    if said.to_larder {
        response.headers_mut().remove(OWN_CACHE_CONTROL);
    }
}

/// What the fields of an answer speak of, found in one walk over them.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// How long it is fresh, or that it is not.
    something: bool,
    /// What is for larder alone.
    to_larder: bool,
}

impl Said {
    fn read(headers: &HeaderMap, shared: &Shared) -> Self {
        let mut said = Self::default();
        for name in headers.keys() {
            if *name == header::CACHE_CONTROL || *name == header::EXPIRES {
                said.something = true;
            } else {
                said.something |= shared.targeted.contains(name);
                said.to_larder |= *name == OWN_CACHE_CONTROL;
            }
        }
        said
    }
}

fn has_lifetime<B>(response: &Response<B>, shared: &Shared) -> bool {
    let headers = response.headers();
    let directives = ResponseDirectives::of(headers, &shared.targeted);
    let is_withheld = directives.private == Scope::Whole
        || directives.has(Flag::NoStore) && !directives.has(Flag::MustUnderstand);
    let date = freshness::date_of(headers, shared.core.clock.wall());
    let lifetime = freshness::lifetime(headers, &directives, response.status(), date, false);
    !is_withheld && lifetime.is_some()
}
