//! Which bodies are worth compressing, and may be?

use http::{HeaderMap, HeaderName, header};

use crate::semantics::fields::members;

/// The media types outside `text/` whose content is text, or as repetitive as text.
const TYPES: [&str; 19] = [
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

/// What the media types end in whose content is text, such as `image/svg+xml`.
const SUFFIXES: [&str; 4] = ["+json", "+text", "+xml", "+yaml"];

/// What the media types of protocol buffers begin with.
const PROTOBUF: [&str; 4] = [
    "application/grpc",
    "application/protobuf",
    "application/vnd.google.protobuf",
    "application/x-protobuf",
];

/// The smallest body of protocol buffers in bytes that is worth it: they shrink to 0.61 at 11 KiB.
const PROTOBUF_FROM: u64 = 4 << 10;

/// The fields that speak about the very bytes that are sent (RFC 9530), or say that these are
/// encoded already.
const BOUND_TO_BYTES: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// Tells whether a body of `length` bytes under these response fields may be kept and sent
/// compressed, and whether that promises anything.
///
/// Rule: RFC 9111 §5.2.2.6 for `no-transform`.
pub(crate) fn compressible(headers: &HeaderMap, length: u64) -> bool {
    promises(headers, length)
        && !BOUND_TO_BYTES.iter().any(|name| headers.contains_key(name))
        && !members(headers, &header::CACHE_CONTROL)
            .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Tells whether the media type is one that shrinks.
fn promises(headers: &HeaderMap, length: u64) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE);
    let Some(media_type) = media_type.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if begins(essence, "text/") {
        // An event stream has no end that could be waited for.
        return !essence.eq_ignore_ascii_case("text/event-stream");
    }
    TYPES
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
        || SUFFIXES.iter().any(|suffix| ends(essence, suffix))
        || (length >= PROTOBUF_FROM && PROTOBUF.iter().any(|known| begins(essence, known)))
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn ends(text: &str, suffix: &str) -> bool {
    text.len()
        .checked_sub(suffix.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn text_in_all_its_dresses_is_compressible() {
        for media_type in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/problem+json",
            "image/svg+XML",
            "application/javascript",
        ] {
            let headers = answer(&[("content-type", media_type)]);
            assert!(compressible(&headers, 2000), "{media_type}");
        }
    }

    #[test]
    fn what_is_compressed_or_unknown_or_endless_is_left_alone() {
        for media_type in [
            "image/png",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
            "font/woff2",
            "text/event-stream",
            "application/jsonish",
            "json",
            "+",
            "",
        ] {
            let headers = answer(&[("content-type", media_type)]);
            assert!(!compressible(&headers, 100_000), "{media_type}");
        }
        assert!(!compressible(&HeaderMap::new(), 100_000));
    }

    #[test]
    fn protocol_buffers_are_compressible_from_four_kibibytes() {
        for media_type in ["application/grpc+proto", "application/x-protobuf"] {
            let headers = answer(&[("content-type", media_type)]);
            assert!(!compressible(&headers, 4095), "{media_type}");
            assert!(compressible(&headers, 4096), "{media_type}");
        }
    }

    #[test]
    fn an_encoded_or_digested_body_is_left_alone() {
        for name in [
            "content-encoding",
            "content-digest",
            "repr-digest",
            "digest",
        ] {
            let headers = answer(&[("content-type", "text/plain"), (name, "br")]);
            assert!(!compressible(&headers, 2000), "{name}");
        }
    }

    #[test]
    fn no_transform_counts_in_any_line_and_any_letter_case() {
        let told = answer(&[
            ("content-type", "text/plain"),
            ("cache-control", "max-age=60"),
            ("cache-control", "public, No-Transform"),
        ]);
        assert!(!compressible(&told, 2000));
        let quoted = answer(&[
            ("content-type", "text/plain"),
            ("cache-control", "x=\"a, no-transform\""),
        ]);
        assert!(compressible(&quoted, 2000));
    }
}
