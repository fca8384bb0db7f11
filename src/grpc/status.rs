//! What the code of a call says: did it fail, and may it have changed something?

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The code of a call that was answered as asked.
pub(crate) const OK: u32 = 0;

/// The code for what can not be told now: worth another try.
const UNAVAILABLE: &str = "14";

/// Returns the code in a head or in trailers; `None` if there is none, or none that can be read.
pub(crate) fn code(fields: &HeaderMap) -> Option<u32> {
    fields.get(GRPC_STATUS)?.to_str().ok()?.trim().parse().ok()
}

/// Returns the status by which the rules of HTTP take a call that did not end well. Failures of the
/// service (unknown, deadline exceeded, internal, unavailable, data loss) are those of a server, for
/// which something stale may stand in; anything else is an answer, to the one who asked.
pub(crate) fn as_http(code: Option<u32>) -> StatusCode {
    match code {
        Some(4) => StatusCode::GATEWAY_TIMEOUT,
        Some(14) => StatusCode::SERVICE_UNAVAILABLE,
        None | Some(2 | 13 | 15) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

/// Returns whether a call that ended so may have changed something: all but those that were refused
/// (invalid argument, not found, already exists, permission denied, resource exhausted, failed
/// precondition, out of range, unimplemented, unauthenticated). Without a code it is not known.
pub(crate) fn may_have_changed(code: Option<u32>) -> bool {
    !matches!(code, Some(3 | 5..=9 | 11 | 12 | 16))
}

/// What a body is, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family<'a> {
    /// gRPC, with the format of its messages; that of protocol buffers is the empty one.
    Grpc(&'a [u8]),
    /// Anything else, gRPC for browsers included: its code stands in its body.
    Other,
}

/// Returns what the body of a message with these fields is.
pub(crate) fn family(fields: &HeaderMap) -> Family<'_> {
    let mut lines = fields.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Family::Other;
    };
    let kind = line.as_bytes().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    match kind.strip_prefix(b"application/grpc") {
        Some(b"" | b"+proto") => Family::Grpc(b""),
        Some([b'+', format @ ..]) => Family::Grpc(format),
        _ => Family::Other,
    }
}

/// Returns the codings that a client accepts, in one order and each once. Those that are not known
/// are left out, so that nobody can make keys of them.
pub(crate) fn encodings(fields: &HeaderMap) -> Vec<&'static str> {
    const KNOWN: [&str; 4] = ["deflate", "gzip", "snappy", "zstd"];
    let accepted = |known: &str| {
        fields
            .get_all(GRPC_ACCEPT_ENCODING)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
    };
    KNOWN.into_iter().filter(|known| accepted(known)).collect()
}

/// Returns the head of an answer that larder gives itself: no answer can be had now.
pub(crate) fn unavailable() -> HeaderMap {
    HeaderMap::from_iter([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        ),
        (GRPC_STATUS, HeaderValue::from_static(UNAVAILABLE)),
        (
            GRPC_MESSAGE,
            HeaderValue::from_static("the call that was waited for came to nothing"),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_content_type_is_of_one_family() {
        for (text, wanted) in [
            ("application/grpc", Family::Grpc(b"")),
            ("application/grpc+proto; x=y", Family::Grpc(b"")),
            ("application/grpc+json", Family::Grpc(b"json")),
            ("application/grpc-web", Family::Other),
            ("application/grpc-web-text+proto", Family::Other),
            ("application/grpcx", Family::Other),
            ("application/json", Family::Other),
        ] {
            assert_eq!(
                family(&fields(header::CONTENT_TYPE, text)),
                wanted,
                "{text}"
            );
        }
        assert_eq!(family(&HeaderMap::new()), Family::Other);
    }

    #[test]
    fn accepted_codings_are_the_same_in_every_order_and_spelling() {
        let of = |text| encodings(&fields(GRPC_ACCEPT_ENCODING, text));
        assert_eq!(of("identity, GZIP,deflate,x-own"), ["deflate", "gzip"]);
        assert_eq!(of("deflate,gzip,gzip"), ["deflate", "gzip"]);
        assert!(of("identity").is_empty() && encodings(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn refusals_change_nothing_and_all_else_may_have() {
        for code in 0..20 {
            let refused = [3, 5, 6, 7, 8, 9, 11, 12, 16].contains(&code);
            assert_eq!(may_have_changed(Some(code)), !refused, "{code}");
        }
        assert!(may_have_changed(None));
    }

    #[test]
    fn only_a_number_is_a_code() {
        assert_eq!(code(&fields(GRPC_STATUS, "14")), Some(14));
        assert_eq!(code(&fields(GRPC_STATUS, "ok")), None);
        assert_eq!(code(&HeaderMap::new()), None);
    }
}
