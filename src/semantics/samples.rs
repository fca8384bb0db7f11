//! Messages for the tests of this room.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::directives::ResponseDirectives;

/// Returns the fields, a line each, in order.
pub(super) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

/// Returns the directives of one Cache-Control line.
pub(super) fn directives(line: &str) -> ResponseDirectives {
    ResponseDirectives::of(&headers(&[("cache-control", line)]), &[])
}

/// Any fields that the rules read, with any bytes that the `http` crate lets through, half of them
/// made of pieces that mean something.
pub(super) fn any_headers() -> impl Strategy<Value = HeaderMap> {
    const NAMES: [&str; 11] = [
        "cache-control",
        "cdn-cache-control",
        "pragma",
        "age",
        "date",
        "expires",
        "last-modified",
        "vary",
        "content-location",
        "set-cookie",
        "etag",
    ];
    const PIECES: &str = r#"(max-age|no-store|private|no-cache|max-stale|s-maxage|stale-if-error|=|,|"|\\|;|\*| |-?[0-9]{1,30}|[a-zé]{1,3}|Sun, 06 Nov 1994 08:49:37 GMT){0,12}"#;
    let value = prop_oneof![
        PIECES.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let line = (prop::sample::select(&NAMES[..]), value);
    prop::collection::vec(line, 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(name, value);
            }
        }
        headers
    })
}
