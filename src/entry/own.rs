//! How are field values kept? In memory of their own.
//!
//! A value that came off a socket is a slice of the whole read buffer and would keep all of it alive;
//! one that the handler made is an allocation by itself. What is stored has one allocation for all its
//! values, so that it costs what it weighs.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

/// Returns `headers` in memory of their own: a map of exactly their size, and one block for all values.
pub(crate) fn own(headers: &HeaderMap) -> HeaderMap {
    let values = own_values(headers.values().cloned().collect());
    // A clone is as large as its content; the original may have room to grow.
    let mut owned = headers.clone();
    for (place, value) in owned.values_mut().zip(values) {
        *place = value;
    }
    owned
}

/// Returns the same values in one block.
pub(super) fn own_values(mut values: Vec<HeaderValue>) -> Vec<HeaderValue> {
    let length = values.iter().map(HeaderValue::len).sum();
    let mut text = BytesMut::with_capacity(length);
    for value in &values {
        text.extend_from_slice(value.as_bytes());
    }
    let mut text = text.freeze();
    for value in &mut values {
        let bytes = text.split_to(value.len());
        // What was a field value is one still, so the error never comes; the old value would do.
        if let Ok(mut slice) = HeaderValue::from_maybe_shared(bytes) {
            slice.set_sensitive(value.is_sensitive());
            *value = slice;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_owned_head_equals_the_one_it_was_made_of() {
        let mut headers = HeaderMap::with_capacity(100);
        headers.append("vary", HeaderValue::from_static("a"));
        headers.append("etag", HeaderValue::from_static("\"1\""));
        headers.append("vary", HeaderValue::from_static("bcd"));
        headers.append("x-empty", HeaderValue::from_static(""));
        let mut secret = HeaderValue::from_static("secret");
        secret.set_sensitive(true);
        headers.append("x-secret", secret);

        let owned = own(&headers);

        assert_eq!(owned, headers);
        assert!(owned["x-secret"].is_sensitive() && !owned["etag"].is_sensitive());
    }

    #[test]
    fn an_owned_head_lets_go_of_the_buffer_it_was_read_into() {
        let buffer = Bytes::from(vec![b'a'; 64 * 1024]);
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-part",
            HeaderValue::from_maybe_shared(buffer.slice(..10)).unwrap(),
        );

        let owned = own(&headers);
        drop(headers);

        assert_eq!(owned["x-part"], "aaaaaaaaaa");
        assert!(buffer.is_unique(), "the stored head keeps the buffer alive");
    }
}
