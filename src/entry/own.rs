//! How is a head kept? In memory of its own.
//!
//! A field that came off a socket is a slice of the whole read buffer and would keep all of it
//! alive; one that the handler made is an allocation by itself. A stored head has one allocation for
//! all its values, so that it costs what it weighs, and a map of exactly its own size.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

/// Returns `headers` in memory of their own: one block for all values.
pub(crate) fn own(headers: &HeaderMap) -> HeaderMap {
    let length = headers.values().map(HeaderValue::len).sum();
    let mut text = BytesMut::with_capacity(length);
    // One field may be added on the way out without the index growing: routers tell the length.
    let mut owned = HeaderMap::with_capacity(headers.keys_len() + 2);
    for (name, value) in headers {
        text.extend_from_slice(value.as_bytes());
        owned.append(name, value.clone());
    }
    // A clone is as large as its content; the original has room to grow.
    let mut owned = owned.clone();
    let mut text = text.freeze();
    for value in owned.values_mut() {
        let bytes = text.split_to(value.len());
        // What was a field value is one still, so the error never comes; the old value would do.
        if let Ok(mut slice) = HeaderValue::from_maybe_shared(bytes) {
            slice.set_sensitive(value.is_sensitive());
            *value = slice;
        }
    }
    owned
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
