//! Entity tags and the two ways to compare them.

use std::iter;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, header::ETAG};

use crate::semantics::fields::{single, trim, value};

/// What marks a tag as weak. The letter's case counts.
const WEAK: &[u8] = b"W/";

/// An entity tag, as written (RFC 9110 §8.8.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityTag<'a>(&'a [u8]);

impl<'a> EntityTag<'a> {
    /// Reads a tag; a missing quote, a blank inside or a lower-case `w/` make it none.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = trim(text);
        let (tag, rest) = Self::take(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Reads the tag at the start of `text`; returns it and what follows.
    fn take(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let quoted = text.strip_prefix(WEAK).unwrap_or(text);
        let opaque = quoted.strip_prefix(b"\"")?;
        let length = opaque.iter().position(|byte| !is_opaque(*byte))?;
        let rest = opaque.get(length..)?.strip_prefix(b"\"")?;
        let (tag, rest) = text.split_at_checked(text.len() - rest.len())?;
        Some((Self(tag), rest))
    }

    /// Iterates over the tags of one line of a list field, passing over what is none.
    ///
    /// Not the common way to read a list: a backslash inside a tag escapes nothing.
    pub(crate) fn list(line: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = line;
        iter::from_fn(move || {
            while !rest.is_empty() {
                let start = rest.iter().position(|byte| !is_between(*byte))?;
                let text = rest.get(start..)?;
                if let Some((tag, after)) = Self::take(text) {
                    rest = after;
                    return Some(tag);
                }
                let comma = text.iter().position(|byte| *byte == b',')?;
                rest = text.get(comma..)?;
            }
            None
        })
    }

    /// Returns the tag as written.
    pub(crate) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Tells whether the tag may stand for more than one sequence of bytes.
    pub(crate) fn is_weak(self) -> bool {
        self.0.starts_with(WEAK)
    }

    /// Tells whether both name responses that are as good as each other (RFC 9110 §8.8.3.2).
    pub(crate) fn weakly_equals(self, other: EntityTag<'_>) -> bool {
        self.quoted() == other.quoted()
    }

    /// Tells whether both name the same bytes (RFC 9110 §8.8.3.2).
    pub(crate) fn strongly_equals(self, other: EntityTag<'_>) -> bool {
        !self.is_weak() && self.0 == other.0
    }

    fn quoted(self) -> &'a [u8] {
        self.0.strip_prefix(WEAK).unwrap_or(self.0)
    }
}

/// Tells whether `byte` may stand between the quotes of a tag.
const fn is_opaque(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

/// Tells whether `byte` may stand between the members of a list.
const fn is_between(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'\t')
}

/// Makes the tag of a response weak, as it must be for a form whose bytes are not the handler's.
///
/// The compressed and the plain form of one response then share a tag: either may be kept when the
/// other is asked about, and neither is ever cut into ranges that are mixed with the other's. A tag
/// with a suffix of its own would say more, but the handler would not know it when a client sends it
/// back in `If-Match`.
///
/// Rule: RFC 9110 §8.8.1 and §8.8.3.3.
pub(crate) fn weaken_etag(headers: &mut HeaderMap) {
    let Some(strong) = single(headers, &ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
    else {
        return;
    };
    let mut weak = BytesMut::with_capacity(WEAK.len() + strong.len());
    weak.put_slice(WEAK);
    weak.put_slice(strong.as_bytes());
    headers.insert(ETAG, value(weak));
}
