//! Which parts of a stored body does a request ask for, and how are they sent?
//!
//! Only `bytes` are known. A cache may ignore any `Range` (RFC 9110 §14.2), and does so when it is
//! malformed, when the response says that it has no ranges, and when a set is so large that its
//! framing is the point of it. Parts that touch or overlap are sent as one, so that no byte is sent
//! twice.
//!
//! Not covered: parts that are stored as parts. Ranges are cut from complete bodies, and from the
//! bytes that are served: a form that the cache compressed itself is not cut.

mod multipart;

use std::ops::Range;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE},
};

pub(crate) use self::multipart::Multipart;
use super::{
    dates,
    fields::{members, number, single, split, trim, value},
    validators::{EntityTag, Validators},
};

/// How many ranges one request may ask for before its `Range` is ignored. Readers of documents and
/// video ask for one to five; each part costs about 120 bytes of framing.
const MOST_RANGES: usize = 16;

/// The digests of the bytes sent, which are wrong for a part (RFC 9530 §2).
static CONTENT_DIGESTS: [HeaderName; 2] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// What a request asks for of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// All of it: send a 200.
    Whole,
    /// These parts, in the order asked for: one or more, none empty, none touching another, all
    /// inside the body. Send a 206.
    Parts(Vec<Range<u64>>),
    /// Nothing that it has: send a 416.
    Unsatisfiable,
}

/// Returns which parts of a stored 200, whose body has `length` bytes, a request asks for.
///
/// Conditions other than `If-Range` come first and are not looked at here. An empty body is always
/// sent whole, since no part of it can be named.
///
/// Rule: RFC 9110 §14.2 and §13.1.5.
pub(crate) fn ranges(
    method: &Method,
    request: &HeaderMap,
    stored: &HeaderMap,
    length: u64,
) -> Ranges {
    if method != Method::GET || length == 0 {
        return Ranges::Whole;
    }
    let Some(asked) = single(request, &RANGE) else {
        return Ranges::Whole;
    };
    if !accepts_ranges(stored) || !same_as_held(request, &Validators::of(stored)) {
        return Ranges::Whole;
    }
    match parse(asked.as_bytes(), length) {
        None => Ranges::Whole,
        Some(parts) if parts.is_empty() => Ranges::Unsatisfiable,
        Some(parts) => Ranges::Parts(parts),
    }
}

/// Tells whether the response may be cut, by its own account.
fn accepts_ranges(stored: &HeaderMap) -> bool {
    !members(stored, &ACCEPT_RANGES).any(|unit| unit.eq_ignore_ascii_case(b"none"))
}

/// Tells whether the client's other parts, if `If-Range` says that it has some, fit this response.
///
/// Tags are compared strongly; a date must be the very one, and old enough to be strong.
fn same_as_held(request: &HeaderMap, stored: &Validators<'_>) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(held) = single(request, &IF_RANGE) else {
        return false;
    };
    match EntityTag::parse(held.as_bytes()) {
        Some(tag) => stored.etag.is_some_and(|etag| etag.strongly_equals(tag)),
        None => dates::parse(held).is_some_and(|date| stored.strong_date() == Some(date)),
    }
}

/// Reads a `Range`; `None` when it is to be ignored. What the body does not have is left out.
fn parse(text: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = text.split_at(equals);
    if !trim(unit).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut parts = Vec::new();
    let mut asked = 0;
    for range in split(set.get(1..)?, b',').filter(|range| !range.is_empty()) {
        asked += 1;
        if asked > MOST_RANGES {
            return None;
        }
        if let Some(part) = parse_one(range, length)?.filter(|part| !part.is_empty()) {
            join(&mut parts, part);
        }
    }
    (asked > 0).then_some(parts)
}

/// Reads one range. The outer `None` is a malformed one, the inner one the body does not have.
#[expect(
    clippy::option_option,
    reason = "a range that is wrong and one that is out of reach have different consequences"
)]
fn parse_one(range: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = range.split_at(dash);
    let (first, last) = (trim(first), trim(last.get(1..)?));
    if first.is_empty() {
        let suffix = position(last)?.min(length);
        return Some(Some(length - suffix..length));
    }
    let first = position(first)?;
    let end = match last {
        [] => length,
        last => {
            let last = position(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(length)
        }
    };
    Some((first < length).then_some(first..end))
}

/// Reads a position; one that is too large to count is as good as the largest.
fn position(digits: &[u8]) -> Option<u64> {
    let spelt = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    spelt.then(|| number(digits).unwrap_or(u64::MAX))
}

/// Adds `part`, as one with all those it touches, at the place of the first of them.
fn join(parts: &mut Vec<Range<u64>>, mut part: Range<u64>) {
    let touches = |a: &Range<u64>, b: &Range<u64>| a.start <= b.end && b.start <= a.end;
    let mut place = parts.len();
    while let Some(at) = parts.iter().position(|other| touches(other, &part)) {
        let other = parts.remove(at);
        part = part.start.min(other.start)..part.end.max(other.end);
        place = at.min(place);
    }
    parts.insert(place.min(parts.len()), part);
}

/// Returns the `Content-Range` of a part of a body of `length` bytes. The part is not empty.
pub(crate) fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    let last = part.end.saturating_sub(1);
    value(format!("bytes {}-{last}/{length}", part.start))
}

/// Returns the `Content-Range` of a 416 (RFC 9110 §15.5.17).
pub(crate) fn unsatisfied_range(length: u64) -> HeaderValue {
    value(format!("bytes */{length}"))
}

/// Turns the fields of a 200 into those of a 206 with one part.
///
/// Rule: RFC 9110 §15.3.7.1.
pub(crate) fn become_part(headers: &mut HeaderMap, part: &Range<u64>, length: u64) {
    headers.insert(CONTENT_RANGE, content_range(part, length));
    become_partial(headers, part.end - part.start);
}

/// Turns the fields of a 200 into those of a 206 with several parts.
///
/// Rule: RFC 9110 §15.3.7.2.
pub(crate) fn become_parts(headers: &mut HeaderMap, parts: &Multipart) {
    headers.insert(CONTENT_TYPE, parts.content_type());
    headers.remove(CONTENT_RANGE);
    become_partial(headers, parts.length());
}

fn become_partial(headers: &mut HeaderMap, length: u64) {
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    for digest in &CONTENT_DIGESTS {
        headers.remove(digest);
    }
}

#[cfg(test)]
mod tests;
