//! May this response be kept for others, and if not, why not?
//!
//! Each rule has a reason of its own, so that whoever wonders about a missing hit is told which one
//! it was. Two sets of rules: [`Preset::Gateway`] is RFC 9111 §3 for a shared cache,
//! [`Preset::Application`] refuses whatever could show one user the answer for another, also where
//! the RFC would let it pass.
//!
//! Not covered: sizes, incomplete bodies, how many variants are kept, and which fields of a kept
//! response are left out ([`ResponseDirectives::withheld_fields`], `fields`).

mod refusal;
mod rules;
#[cfg(test)]
mod tests;

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{
        AUTHORIZATION, CONTENT_LOCATION, CONTENT_RANGE, COOKIE, ETAG, EXPIRES, HeaderName,
        LAST_MODIFIED, SET_COOKIE,
    },
};

pub(crate) use self::{
    refusal::Refusal,
    rules::{Preset, StoreRules},
};
use super::{
    directives::{Flag, RequestDirectives, ResponseDirectives, Scope},
    statuses,
    vary::Vary,
};

/// What the answer depends on.
#[derive(Debug)]
pub(crate) struct StoreQuestion<'a> {
    pub(crate) method: &'a Method,
    /// The URI of the request, with its authority if that is known; read for POST alone.
    pub(crate) target: &'a Uri,
    pub(crate) request: &'a RequestDirectives,
    /// The request carried Authorization.
    pub(crate) authorized: bool,
    pub(crate) status: StatusCode,
    pub(crate) response: &'a HeaderMap,
    pub(crate) directives: &'a ResponseDirectives,
    /// The request fields that chose the response.
    pub(crate) vary: &'a Vary,
    pub(crate) rules: &'a StoreRules,
    /// A policy that the user wrote gives the lifetime.
    pub(crate) policy_lifetime: bool,
}

/// Returns why the response must not be stored, or `None` if it may be.
///
/// The first rule that is broken is named: request, status, directives, fields, lifetime.
pub(crate) fn refusal(question: &StoreQuestion<'_>) -> Option<Refusal> {
    of_request(question)
        .or_else(|| of_status(question))
        .or_else(|| of_directives(question))
        .or_else(|| of_fields(question))
        .or_else(|| of_lifetime(question))
}

fn of_request(question: &StoreQuestion<'_>) -> Option<Refusal> {
    if *question.method != Method::GET && !is_storable_post(question) {
        return Some(Refusal::Method);
    }
    if question.request.has(Flag::NoStore) {
        return Some(Refusal::RequestNoStore);
    }
    let allowed = question.rules.identity_in_key
        || question.rules.preset == Preset::Gateway && lifts_authorization(question.directives);
    (question.authorized && !allowed).then_some(Refusal::Authorization)
}

/// RFC 9111 §3.5. `proxy-revalidate` is not among the three.
const fn lifts_authorization(directives: &ResponseDirectives) -> bool {
    directives.has(Flag::Public)
        || directives.has(Flag::MustRevalidate)
        || directives.s_maxage.is_some()
}

/// The answer to a POST can be kept for a later GET when it says that it is the representation of
/// its very target, and for how long (RFC 9110 §9.3.3).
fn is_storable_post(question: &StoreQuestion<'_>) -> bool {
    *question.method == Method::POST
        && question.rules.preset == Preset::Gateway
        && has_explicit_lifetime(question)
        && question
            .response
            .get(CONTENT_LOCATION)
            .and_then(|location| Uri::try_from(location.as_bytes()).ok())
            .is_some_and(|location| is_same_resource(&location, question.target))
}

/// A location without an authority is one on the target's; one with an authority that can not be
/// compared is another one.
fn is_same_resource(location: &Uri, target: &Uri) -> bool {
    let same_place = location.authority().is_none()
        || (location.authority() == target.authority() && location.scheme() == target.scheme());
    same_place && location.path_and_query() == target.path_and_query()
}

fn of_status(question: &StoreQuestion<'_>) -> Option<Refusal> {
    let partial = question.status == StatusCode::PARTIAL_CONTENT
        || question.rules.preset == Preset::Application
            && question.response.contains_key(CONTENT_RANGE);
    if question.status.is_informational() {
        Some(Refusal::Interim)
    } else if question.status == StatusCode::NOT_MODIFIED {
        Some(Refusal::NotModified)
    } else if partial {
        Some(Refusal::Partial)
    } else if !question.rules.stores(question.status) {
        Some(Refusal::Status)
    } else if must_understand(question) && !statuses::is_understood(question.status) {
        Some(Refusal::NotUnderstood)
    } else {
        None
    }
}

const fn must_understand(question: &StoreQuestion<'_>) -> bool {
    question.directives.has(Flag::MustUnderstand)
}

fn of_directives(question: &StoreQuestion<'_>) -> Option<Refusal> {
    let directives = question.directives;
    // A cache that understands the status is asked to overlook the `no-store`, which is there for
    // caches that have never heard of `must-understand` (RFC 9111 §5.2.2.3).
    if directives.has(Flag::NoStore) && !must_understand(question) {
        return Some(Refusal::NoStore);
    }
    let private = match directives.private {
        Scope::No => false,
        Scope::Whole => true,
        Scope::Fields(_) => question.rules.preset == Preset::Application,
    };
    if private {
        return Some(Refusal::Private);
    }
    let unusable = directives.no_cache == Scope::Whole && !has_validator(question.response);
    unusable.then_some(Refusal::NoCache)
}

fn has_validator(response: &HeaderMap) -> bool {
    response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED)
}

fn of_fields(question: &StoreQuestion<'_>) -> Option<Refusal> {
    let rules = question.rules;
    let varies_on_identity = match question.vary {
        Vary::Any => return Some(Refusal::VaryAny),
        Vary::None => false,
        Vary::Names(names) => names.contains(&COOKIE) || names.contains(&AUTHORIZATION),
    };
    if varies_on_identity && rules.preset == Preset::Application && !rules.identity_in_key {
        return Some(Refusal::VaryIdentity);
    }
    let sets_cookie = question.response.contains_key(SET_COOKIE)
        || question
            .response
            .contains_key(HeaderName::from_static("set-cookie2"));
    (sets_cookie && !rules.set_cookie).then_some(Refusal::SetCookie)
}

fn of_lifetime(question: &StoreQuestion<'_>) -> Option<Refusal> {
    // Without a lifetime a response is still worth keeping if it can be confirmed before each use.
    let by_default = question.rules.heuristic
        && has_validator(question.response)
        && (statuses::is_heuristically_cacheable(question.status)
            || question.directives.has(Flag::Public));
    let stored = question.policy_lifetime || has_explicit_lifetime(question) || by_default;
    (!stored).then_some(Refusal::NoLifetime)
}

fn has_explicit_lifetime(question: &StoreQuestion<'_>) -> bool {
    let directives = question.directives;
    directives.max_age.is_some()
        || directives.s_maxage.is_some()
        || !directives.has(Flag::Targeted) && question.response.contains_key(EXPIRES)
}
