//! May a stored response be served as it is, or has the handler to be asked first?
//!
//! Only ages, windows and directives are weighed here. Whether the stored response is the right
//! one for the request (key, Vary) and whether an invalidation has made it void is known elsewhere,
//! and comes first.
//!
//! Spans are in milliseconds. Both windows of RFC 5861 are counted from the moment at which the
//! response became stale, not from the failure. A response with `no-cache` is never served
//! unconfirmed; one that is stale and says `must-revalidate`, or for a shared cache
//! `proxy-revalidate` or `s-maxage`, is not, either, whatever windows it or a policy opens (RFC
//! 9111 §4.2.4).

use http::StatusCode;

use super::{
    directives::{Flag, MaxStale, RequestDirectives, ResponseDirectives, Scope},
    seconds,
};

#[cfg(test)]
mod tests;

/// What an entry remembers of its directives to answer [`reuse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReuseFlags {
    /// No use without confirmation.
    pub(crate) no_cache: bool,
    /// No use without confirmation once stale.
    pub(crate) must_revalidate: bool,
    /// A reload does not ask for confirmation while fresh (RFC 8246 §2).
    pub(crate) immutable: bool,
}

impl ReuseFlags {
    /// Returns what the directives say.
    ///
    /// `explicit_lifetime` tells that freshness is not a guess; without it `immutable` says
    /// nothing.
    pub(crate) fn of(directives: &ResponseDirectives, explicit_lifetime: bool) -> Self {
        Self {
            no_cache: directives.no_cache == Scope::Whole,
            must_revalidate: directives.has(Flag::MustRevalidate)
                || directives.has(Flag::ProxyRevalidate)
                || directives.s_maxage.is_some(),
            immutable: directives.has(Flag::Immutable) && explicit_lifetime,
        }
    }
}

/// What the answer depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReuseQuestion<'a> {
    /// How old the response is now.
    pub(crate) age: u64,
    /// The age from which on it is stale.
    pub(crate) lifetime: u64,
    pub(crate) flags: ReuseFlags,
    /// How long it is served stale while a new one is on the way.
    pub(crate) stale_while_revalidate: u64,
    /// How long it is served stale in place of a failure.
    pub(crate) stale_if_error: u64,
    /// What the client asks for, if that is honoured.
    pub(crate) request: Option<&'a RequestDirectives>,
    pub(crate) attempt: Attempt,
}

/// Whether the handler was asked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Not yet.
    None,
    /// It failed: an error, a panic, no answer in time, or a status for which [`is_failure`] holds.
    Failed,
    /// It can not be reached, and the settings allow any stale response then.
    Disconnected,
}

/// Whether a stored response may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    Fresh,
    /// Stale, but allowed.
    StaleAllowed(Allowance),
    /// Not before the handler has confirmed it. After a failed attempt: not at all.
    MustValidate(Obstacle),
}

/// Why a stale response may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// It is within its `stale-while-revalidate` window; a refresh has to be started.
    WhileRevalidating,
    /// The client takes stale responses.
    MaxStale,
    /// The handler failed, and it is within a `stale-if-error` window.
    OnError,
    /// The handler can not be reached.
    Disconnected,
}

/// Why a stored response may not be served unconfirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    NoCache,
    /// It is stale, and the response says that this must not be overlooked.
    MustRevalidate,
    /// It is stale, and nothing allows that.
    Stale,
    RequestNoCache,
    RequestMaxAge,
    RequestMinFresh,
}

/// Returns whether a stale response may stand in for one of this status (RFC 5861 §4).
///
/// To those of the RFC comes 408, by which layers answer whose handler took too long. All others are
/// answers.
pub(crate) const fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 500 | 502 | 503 | 504)
}

/// Returns whether an answer of this status is due to the one request that met it, and says nothing of
/// what the next one will get: all of 4xx but those by which a page is closed or gone.
///
/// Whoever sends what a handler refuses, or too much of it, can not push out what others are served.
pub(crate) const fn is_of_one_request(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400..=499) && !matches!(status.as_u16(), 401 | 403 | 404 | 410 | 451)
}

/// Returns whether the stored response may be served.
pub(crate) fn reuse(question: &ReuseQuestion<'_>) -> Reuse {
    if question.flags.no_cache {
        return Reuse::MustValidate(Obstacle::NoCache);
    }
    if question.age < question.lifetime {
        return match unmet_wish(question) {
            Some(obstacle) if question.attempt == Attempt::None => Reuse::MustValidate(obstacle),
            _ => Reuse::Fresh,
        };
    }
    if question.flags.must_revalidate {
        return Reuse::MustValidate(Obstacle::MustRevalidate);
    }
    match stale(question) {
        Ok(allowance) => Reuse::StaleAllowed(allowance),
        Err(obstacle) => Reuse::MustValidate(obstacle),
    }
}

fn stale(question: &ReuseQuestion<'_>) -> Result<Allowance, Obstacle> {
    let staleness = question.age - question.lifetime;
    let wished = |wish: fn(&RequestDirectives) -> Option<u64>| question.request.and_then(wish);
    match question.attempt {
        Attempt::Disconnected => Ok(Allowance::Disconnected),
        Attempt::Failed => {
            let by_client = wished(|request| request.stale_if_error).map_or(0, seconds::to_millis);
            if staleness < question.stale_if_error.max(by_client) {
                Ok(Allowance::OnError)
            } else {
                Err(Obstacle::Stale)
            }
        }
        Attempt::None => unasked(question, staleness),
    }
}

/// What holds while the handler has not been asked.
fn unasked(question: &ReuseQuestion<'_>, staleness: u64) -> Result<Allowance, Obstacle> {
    if let Some(obstacle) = unmet_wish(question) {
        return Err(obstacle);
    }
    if staleness < question.stale_while_revalidate {
        return Ok(Allowance::WhileRevalidating);
    }
    match question.request.and_then(|request| request.max_stale) {
        Some(MaxStale::Any) => Ok(Allowance::MaxStale),
        Some(MaxStale::Seconds(most)) if staleness <= seconds::to_millis(most) => {
            Ok(Allowance::MaxStale)
        }
        _ => Err(Obstacle::Stale),
    }
}

/// Returns which wish of the client the stored response does not meet (RFC 9111 §5.2.1).
///
/// `max-age=0` asks for confirmation of whatever is stored, also in the millisecond in which it
/// was. A `max-age` without `max-stale` rejects stale responses.
fn unmet_wish(question: &ReuseQuestion<'_>) -> Option<Obstacle> {
    let request = question.request?;
    let is_fresh = question.age < question.lifetime;
    let remaining = question.lifetime.saturating_sub(question.age);
    let is_reload_moot = question.flags.immutable && is_fresh;
    if request.has(Flag::NoCache) && !is_reload_moot {
        return Some(Obstacle::RequestNoCache);
    }
    if let Some(most) = request.max_age.filter(|_| !is_reload_moot) {
        let too_old = most == 0 || question.age > seconds::to_millis(most);
        if too_old || (!is_fresh && request.max_stale.is_none()) {
            return Some(Obstacle::RequestMaxAge);
        }
    }
    let wanted = seconds::to_millis(request.min_fresh?);
    (remaining < wanted).then_some(Obstacle::RequestMinFresh)
}
