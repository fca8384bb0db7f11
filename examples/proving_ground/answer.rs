//! What several routes need to answer: refusals, and text without encodings.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Returns the answer to a request that asks for something that can not be done.
pub(crate) fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

/// Returns `raw` percent-decoded, as bytes; `+` stays what it is.
pub(crate) fn decoded(raw: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = match (first, digit(rest.first()), digit(rest.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                &rest[2..]
            }
            _ => {
                decoded.push(first);
                rest
            }
        };
    }
    decoded
}
