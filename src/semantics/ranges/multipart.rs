//! The framing of several parts in one body.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use super::content_range;
use crate::semantics::fields::value;

/// What goes around the parts of a `multipart/byteranges` body (RFC 9110 §14.6).
#[derive(Clone, Debug)]
pub(crate) struct Multipart {
    boundary: String,
    heads: Vec<Bytes>,
    tail: Bytes,
    length: u64,
}

impl Multipart {
    /// Frames `parts` of a body of `length` bytes and type `content_type`.
    ///
    /// `seed` makes the boundary. It is to be random, since a boundary that somebody can foresee can
    /// be written into the body.
    pub(crate) fn new(
        parts: &[Range<u64>],
        length: u64,
        content_type: Option<&HeaderValue>,
        seed: u128,
    ) -> Self {
        let boundary = format!("{seed:032x}");
        let heads: Vec<Bytes> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let line_end: &[u8] = if index == 0 { b"" } else { b"\r\n" };
                head(
                    line_end,
                    &boundary,
                    content_type,
                    &content_range(part, length),
                )
            })
            .collect();
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let framing: usize = heads.iter().chain([&tail]).map(Bytes::len).sum();
        let content: u64 = parts.iter().map(|part| part.end - part.start).sum();
        Self {
            boundary,
            heads,
            tail,
            length: content.saturating_add(u64::try_from(framing).unwrap_or(u64::MAX)),
        }
    }

    /// Returns the type of the whole.
    pub(crate) fn content_type(&self) -> HeaderValue {
        value(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// Returns the length of the whole in bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Returns what precedes each part, in the order of the parts.
    pub(crate) fn heads(&self) -> &[Bytes] {
        &self.heads
    }

    /// Returns what follows the last part.
    pub(crate) const fn tail(&self) -> &Bytes {
        &self.tail
    }
}

/// Returns the delimiter and the fields of one part.
fn head(
    line_end: &[u8],
    boundary: &str,
    content_type: Option<&HeaderValue>,
    content_range: &HeaderValue,
) -> Bytes {
    let mut head = BytesMut::new();
    let mut put = |text: &[u8]| head.extend_from_slice(text);
    put(line_end);
    put(b"--");
    put(boundary.as_bytes());
    if let Some(content_type) = content_type {
        put(b"\r\ncontent-type: ");
        put(content_type.as_bytes());
    }
    put(b"\r\ncontent-range: ");
    put(content_range.as_bytes());
    put(b"\r\n\r\n");
    head.freeze()
}
