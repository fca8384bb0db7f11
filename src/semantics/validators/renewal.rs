//! May the cache keep what it has?

use bytes::{BufMut, BytesMut};
use http::{
    HeaderMap,
    header::{
        CONTENT_LENGTH, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};

use super::Validators;
use crate::semantics::fields::{content_length, value};

/// Makes a request ask whether one of the stored responses is still good. Tells whether it asks:
/// responses without validators can not be asked about.
///
/// `candidates` are those of the request's URI, the newest first. All their tags are named; the date
/// is the first one's. The client's own conditions and its range are dropped: the cache evaluates
/// them on the outcome.
///
/// Rule: RFC 9111 §4.3.1 (rule 15).
pub(crate) fn ask<'a>(
    request: &mut HeaderMap,
    candidates: impl IntoIterator<Item = &'a Validators<'a>>,
) -> bool {
    for name in [
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        IF_RANGE,
        RANGE,
    ] {
        request.remove(name);
    }
    let mut tags = BytesMut::new();
    for (index, candidate) in candidates.into_iter().enumerate() {
        if let Some(tag) = candidate.etag {
            if !tags.is_empty() {
                tags.put_slice(b", ");
            }
            tags.put_slice(tag.as_bytes());
        }
        if let Some(date) = candidate.last_modified.filter(|_| index == 0)
            && candidate.last_modified().is_some()
        {
            request.insert(IF_MODIFIED_SINCE, date.clone());
        }
    }
    if !tags.is_empty() {
        request.insert(IF_NONE_MATCH, value(tags));
    }
    request.contains_key(IF_NONE_MATCH) || request.contains_key(IF_MODIFIED_SINCE)
}

/// Returns which of the stored responses, by index, a 304 found still good.
///
/// `candidates` are those that were asked about, the newest first. A strong tag confirms all that
/// have it; a weak tag, or without a tag the date, confirms the newest that has it.
///
/// A 304 to a question about one response confirms that one, whatever it carries. Handlers send bare
/// ones, and servers that compress send the tag of the other form. RFC 9111 §4.3.4 would have a tag
/// that differs confirm nothing; but there is no other response it could speak of, and the question
/// could only be repeated.
///
/// Rule: RFC 9111 §4.3.4 (rule 19).
pub(crate) fn answered_by(not_modified: &HeaderMap, candidates: &[Validators<'_>]) -> Vec<usize> {
    if let [_] = candidates {
        return vec![0];
    }
    let answer = Validators::of(not_modified);
    let confirmed = |stored: &Validators<'_>| match (answer.etag, stored.etag) {
        (Some(tag), Some(stored)) if tag.is_weak() => tag.weakly_equals(stored),
        (Some(tag), Some(stored)) => tag.strongly_equals(stored),
        (Some(_), None) => false,
        (None, _) => answer
            .last_modified()
            .is_some_and(|date| stored.last_modified() == Some(date)),
    };
    let at_most = match answer.etag {
        Some(tag) if !tag.is_weak() => candidates.len(),
        _ => 1,
    };
    let indexed = candidates.iter().enumerate();
    indexed
        .filter_map(|(index, stored)| confirmed(stored).then_some(index))
        .take(at_most)
        .collect()
}

/// What a 200 to HEAD says of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// It names the stored response by a validator.
    Confirmed,
    /// Nothing in it differs, but it names no validator either: the body may be another one all the
    /// same.
    Undecided,
    /// It is not of the stored response.
    Differs,
}

/// Tells whether a 200 to HEAD speaks of the stored response, whose body has `length` bytes.
///
/// If so it updates the stored fields; if not, the stored response is stale. What the answer does
/// not carry is not compared.
///
/// Rule: RFC 9111 §4.3.5 (rule 20).
pub(crate) fn head_agrees(head: &HeaderMap, stored: &HeaderMap, length: u64) -> Agreement {
    let same = |name| {
        head.get(&name)
            .is_none_or(|value| stored.get(&name) == Some(value))
    };
    let is_of_length = !head.contains_key(CONTENT_LENGTH) || content_length(head) == Some(length);
    if !(same(ETAG) && same(LAST_MODIFIED) && is_of_length) {
        Agreement::Differs
    } else if head.contains_key(ETAG) || head.contains_key(LAST_MODIFIED) {
        Agreement::Confirmed
    } else {
        Agreement::Undecided
    }
}
