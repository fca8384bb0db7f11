//! May the client keep what it has?

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, TRAILER,
    },
};

use super::{EntityTag, Validators};
use crate::semantics::{
    dates,
    fields::{single, trim},
};

/// The fields that describe a body and so have no place where none is sent.
///
/// All others stay, known or not: a 304 updates what the client has stored, and what a browser
/// asks of a response (the `Access-Control` fields, say) it may ask of this one.
static BODY_FIELDS: [HeaderName; 9] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    TRAILER,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// What the conditions of a request make of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The request has none that applies here: send the response.
    None,
    /// The client has it: send a 304.
    NotModified,
    /// The client has another one, or an older one: send the response.
    Passed,
    /// Only the handler can tell: forward the request.
    Forward,
}

/// Evaluates the conditions of a GET or HEAD request against a stored response.
///
/// `stored` must be fresh, or validated just now. `If-None-Match` wins over `If-Modified-Since`.
/// A condition that can not be read is not met when it is a tag, and is not there when it is a date.
///
/// Rule: RFC 9111 §4.3.2 and RFC 9110 §13.2.2 (rule 16).
pub(crate) fn condition(
    request: &HeaderMap,
    stored: &Validators<'_>,
    status: StatusCode,
) -> Condition {
    if request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE) {
        return Condition::Forward;
    }
    if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Condition::None;
    }
    let held = if request.contains_key(IF_NONE_MATCH) {
        Some(names_stored(request, stored))
    } else {
        is_unmodified(request, stored)
    };
    match held {
        None => Condition::None,
        Some(true) => Condition::NotModified,
        Some(false) => Condition::Passed,
    }
}

/// Tells whether `If-None-Match` names the stored response.
fn names_stored(request: &HeaderMap, stored: &Validators<'_>) -> bool {
    if single(request, &IF_NONE_MATCH).is_some_and(|value| trim(value.as_bytes()) == b"*") {
        return true;
    }
    let named = request.get_all(IF_NONE_MATCH).iter();
    stored.etag.is_some_and(|stored| {
        named
            .flat_map(|line| EntityTag::list(line.as_bytes()))
            .any(|tag| tag.weakly_equals(stored))
    })
}

/// Tells whether the stored response is no newer than `If-Modified-Since`; `None` without a date.
fn is_unmodified(request: &HeaderMap, stored: &Validators<'_>) -> Option<bool> {
    let since = single(request, &IF_MODIFIED_SINCE).and_then(dates::parse)?;
    Some(
        stored
            .unchanged_since()
            .is_some_and(|moment| moment <= since),
    )
}

/// Returns the fields of a 304 that stands for the stored response.
///
/// `Content-Location`, `Date`, `ETag`, `Vary`, `Cache-Control` and `Expires` are those of the 200;
/// what describes the body is left out, and `Last-Modified` too when there is an `ETag`.
///
/// Rule: RFC 9110 §15.4.5 (rule 17).
pub(crate) fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = stored.clone();
    for name in &BODY_FIELDS {
        fields.remove(name);
    }
    if fields.contains_key(ETAG) {
        fields.remove(LAST_MODIFIED);
    }
    fields
}
