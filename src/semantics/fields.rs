//! How are header fields read as lists, which of them end at this cache, and which does a newer
//! response replace?
//!
//! What one field means is not decided here. Fields that `no-cache="..."` or `private="..."` name
//! are for the reader of directives; a response is rid of them before it is stored or freshens.

use std::iter;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};

/// The fields that belong to one connection or to one proxy (RFC 9110 §7.6.1, RFC 9111 §3.1).
static CONNECTION_BOUND: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

/// The fields that tell something about the very bytes of a stored body (RFC 9111 §3.2).
///
/// `ETag` is among them since it chose the response that is freshened: it is equal, weakly so, or
/// the origin sent the tag of another form of the same content. The digests of RFC 9530 would
/// become wrong when a weak validator let different bytes pass as the same.
static BODY_BOUND: [HeaderName; 8] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    ETAG,
];

/// Iterates over the members of a list field, over all its lines, in order.
///
/// Members are trimmed, empty ones left out; commas inside quoted strings do not separate.
///
/// Rule: RFC 9110 §5.6.1.
pub(crate) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| split(line.as_bytes(), b','))
        .filter(|member| !member.is_empty())
}

/// Iterates over the trimmed pieces of one line between `separator`s outside quoted strings.
///
/// A quote that is never closed quotes nothing: it can not hide what follows it.
pub(crate) fn split(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    let mut quotes_close = true;
    iter::from_fn(move || {
        let text = rest?;
        let end = piece_end(text, separator, &mut quotes_close);
        rest = text.get(end + 1..);
        text.get(..end).map(trim)
    })
}

/// Returns where the first piece of `text` ends.
fn piece_end(text: &[u8], separator: u8, quotes_close: &mut bool) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == separator {
            break;
        }
        at += 1;
        if byte == b'"' && *quotes_close {
            match closing_quote(text, at) {
                Some(closing) => at = closing + 1,
                None => *quotes_close = false,
            }
        }
    }
    at
}

/// Returns where the quoted string whose content begins at `start` ends (RFC 9110 §5.6.4).
fn closing_quote(text: &[u8], start: usize) -> Option<usize> {
    let mut escaped = false;
    let content = text.get(start..)?;
    let length = content.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    Some(start + length)
}

/// Returns the value of a field that is allowed once; `None` when it comes twice.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Returns a structured field, read over all its lines; `None` when it is absent or malformed.
///
/// Rule: RFC 9651 §4.2.
pub(crate) fn structured<T: sfv::FieldType>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    sfv::Parser::new(&lines.join(&b", "[..])).parse().ok()
}

/// Returns `text` without the blanks at both ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Removes the fields that end at this cache: the connection's, those that `Connection` names, and
/// those of a proxy.
///
/// Rule: RFC 9110 §7.6.1 and RFC 9111 §3.1.
pub(crate) fn strip_connection(headers: &mut HeaderMap) {
    // Names are tokens: a quote here is somebody's mistake and must not keep a name from being seen.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(trim(name)).ok())
        .collect();
    for name in named.iter().chain(&CONNECTION_BOUND) {
        headers.remove(name);
    }
}

/// Returns the length that `Content-Length` declares.
///
/// Several members that say the same count as one; anything else that is not a plain number that
/// fits is no declaration at all.
///
/// Rule: RFC 9110 §8.6.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|length| number(trim(length)));
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}

/// Returns the number that `digits` spell; `None` when there is anything but digits, or too many.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Updates the fields of a stored response with those of a 304, or of a 200 to HEAD, that found it
/// still good.
///
/// Every field of the newer response replaces the stored one of its name, except those that the
/// connection or the stored bytes own. `Age` and `Date` speak of the moment, so the old ones go
/// even when no new ones came.
///
/// Rule: RFC 9111 §3.2 (rule 19).
pub(crate) fn freshen(stored: &mut HeaderMap, newer: &HeaderMap) {
    let mut update = newer.clone();
    strip_connection(&mut update);
    for name in &BODY_BOUND {
        update.remove(name);
    }
    stored.remove(AGE);
    stored.remove(DATE);
    // `extend` replaces the first value of a name and appends its further ones.
    stored.extend(update);
}

/// Returns `text`, which larder wrote and which is free of control characters, as a field value.
pub(crate) fn value(text: impl Into<Bytes>) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.into()).unwrap_or(HeaderValue::from_static(""))
}

/// Adds `member` to a list field unless it is there, compared without regard to case.
pub(crate) fn add_member(headers: &mut HeaderMap, name: &HeaderName, member: &'static str) {
    let there = members(headers, name).any(|m| m.eq_ignore_ascii_case(member.as_bytes()));
    if !there {
        headers.append(name, HeaderValue::from_static(member));
    }
}

#[cfg(test)]
mod tests;
