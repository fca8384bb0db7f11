//! What does a status code say about keeping the response?

use http::StatusCode;

/// Returns whether a response of this status may get a lifetime by guess (RFC 9110 §15.1).
///
/// 206 belongs to the list too, but larder keeps no parts.
pub(super) const fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Returns whether larder knows what the status asks of a cache, as `must-understand` wants
/// (RFC 9111 §5.2.2.3): the statuses of RFC 9110 and of RFC 6585, and 451.
pub(super) const fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451
            | 500..=505 | 511
    )
}

/// Returns whether no cache may store the status, with whatever lifetime.
///
/// 412 and 416 answer a condition or a range, which no key holds. 428, 429, 431 and 511 say
/// something about one client at one moment (RFC 6585 §3 to §6: "MUST NOT be stored by a cache").
/// Above 599 there is no meaning at all.
pub(super) const fn is_never_stored(status: StatusCode) -> bool {
    matches!(status.as_u16(), 412 | 416 | 428 | 429 | 431 | 511 | 600..)
}
