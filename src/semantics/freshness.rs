//! How long is a response fresh, and how old was it when it arrived?
//!
//! Spans are in milliseconds. The moments given are readings of the wall clock, since they are
//! compared with dates that other machines wrote; what passes afterwards is for the caller to count
//! by a clock that does not jump.

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AGE, DATE, EXPIRES, LAST_MODIFIED},
};

use super::{
    dates,
    directives::{Flag, ResponseDirectives},
    fields, seconds, statuses,
};
use crate::clock::Timestamp;

#[cfg(test)]
mod tests;

/// The longest lifetime that is guessed, in milliseconds: a day. RFC 9111 §4.2.2 names no limit;
/// it is the age above which older caches had to warn of a guess (RFC 7234 §5.5.4).
const MAX_HEURISTIC: u64 = 24 * 60 * 60 * 1000;

/// How long a response is fresh, counted from when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) millis: u64,
    /// The response says so itself. Otherwise it is a guess.
    pub(crate) explicit: bool,
}

/// Returns how long the response is fresh by its own fields, or `None` if they do not say.
///
/// The first that is there decides: `s-maxage`, `max-age`, `Expires` less `date`, and, if
/// `allow_heuristic` and the status or `public` permits it, a tenth of the time since
/// Last-Modified. What can not be read is a lifetime of zero. Of several Expires lines the earliest
/// counts, for the reason given at [`ResponseDirectives`].
///
/// Rule: RFC 9111 §4.2.1 and §4.2.2.
pub(crate) fn lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    status: StatusCode,
    date: Timestamp,
    allow_heuristic: bool,
) -> Option<Lifetime> {
    let explicit = directives
        .s_maxage
        .or(directives.max_age)
        .map(seconds::to_millis)
        .or_else(|| until_expiry(headers, directives, date));
    if let Some(millis) = explicit {
        return Some(Lifetime {
            millis,
            explicit: true,
        });
    }
    let may_guess = allow_heuristic
        && (statuses::is_heuristically_cacheable(status) || directives.has(Flag::Public));
    let modified = may_guess.then(|| first_date(headers, &LAST_MODIFIED))??;
    Some(Lifetime {
        millis: (millis_between(modified, date) / 10).min(MAX_HEURISTIC),
        explicit: false,
    })
}

/// Returns how old the response was when it arrived.
///
/// `requested` is when the request was sent on and `received` when the response came; the time
/// between counts as age, since the answer may have been read at its beginning. Clocks that
/// disagree, and an `Age` of whatever length, give a large age or none, never an overflow.
///
/// Rule: RFC 9111 §4.2.3, `corrected_initial_age`.
pub(crate) fn initial_age(headers: &HeaderMap, requested: Timestamp, received: Timestamp) -> u64 {
    let apparent_age = millis_between(date_of(headers, received), received);
    let response_delay = millis_between(requested, received);
    let corrected_age = age_value(headers).saturating_add(response_delay);
    apparent_age.max(corrected_age)
}

/// Returns when the response was made: its Date, or `received` when that is missing or unreadable.
pub(crate) fn date_of(headers: &HeaderMap, received: Timestamp) -> Timestamp {
    first_date(headers, &DATE).unwrap_or(received)
}

/// Returns what Age says; zero when there is none.
///
/// Of a list the first member counts, and one that is no number is ignored (RFC 9111 §5.1). A
/// parameter behind the number is overlooked: the response is no younger for it.
fn age_value(headers: &HeaderMap) -> u64 {
    let first = fields::members(headers, &AGE).next().unwrap_or_default();
    let number = first.split(|byte| *byte == b';').next().unwrap_or_default();
    seconds::to_millis(seconds::parse(number.trim_ascii()).unwrap_or(0))
}

fn until_expiry(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: Timestamp,
) -> Option<u64> {
    if directives.has(Flag::Targeted) {
        return None;
    }
    headers
        .get_all(EXPIRES)
        .iter()
        .map(|line| dates::parse(line).map_or(0, |expires| millis_between(date, expires)))
        .min()
}

fn first_date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    dates::parse(headers.get(name)?)
}

/// Returns the time from `earlier` to `later`; zero when they are the other way round.
const fn millis_between(earlier: Timestamp, later: Timestamp) -> u64 {
    later.as_millis().saturating_sub(earlier.as_millis())
}
