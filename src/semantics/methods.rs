//! Which methods change nothing, and which ones the cache knows at all?

use http::Method;

/// Returns whether `method` only reads, so that nothing is invalidated by it (RFC 9110 §9.2.1).
///
/// QUERY is safe too, although it is never stored.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    ) || method.as_str() == "QUERY"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_methods_are_safe_and_unknown_ones_are_not() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert!(is_safe(&Method::from_bytes(method.as_bytes()).unwrap()));
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE", "get"] {
            assert!(!is_safe(&Method::from_bytes(method.as_bytes()).unwrap()));
        }
    }
}
