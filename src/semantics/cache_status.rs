//! How does a response say what the cache did with the request?
//!
//! By one member of the `Cache-Status` list (RFC 9211). Not covered: whether a response gets one,
//! and who may see the key.

mod hits;

use bytes::{BufMut, BytesMut};

pub(crate) use self::hits::{HitMembers, MEMORY, SECOND};

/// The largest number that a structured field can carry (RFC 9651 §3.3.1).
const LARGEST_INTEGER: i64 = 999_999_999_999_999;

/// The name of a cache, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(Box<str>);

impl Name {
    /// Returns the name as a token or, when it is none, as a string; `None` when it is empty or has
    /// other than printable ASCII characters.
    ///
    /// Rule: RFC 9211 §2.
    pub(crate) fn new(name: &str) -> Option<Self> {
        if is_token(name) {
            return Some(Self(name.into()));
        }
        if name.is_empty() || !name.bytes().all(is_printable) {
            return None;
        }
        let escaped = name.replace('\\', r"\\").replace('"', "\\\"");
        Some(Self(format!("\"{escaped}\"").into()))
    }
}

/// What one cache did with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a Name,
    pub(crate) handling: Handling,
    /// The seconds of freshness left, negative when stale.
    pub(crate) ttl: Option<i64>,
    /// The key under which the response is stored: for those who may know it.
    pub(crate) key: Option<&'a [u8]>,
    /// Whatever else there is to say, such as the tier. Left out when not printable ASCII.
    pub(crate) detail: Option<&'a str>,
}

/// Where the answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    /// From the store, without going forward; stale ones, 304s and parts included.
    Hit,
    /// From the handler, or from the store once the handler had been asked.
    Forwarded {
        /// Why.
        reason: Forward,
        /// The status of the handler's answer, when another one is sent.
        status: Option<u16>,
        /// Whether the handler's answer was stored.
        stored: bool,
        /// Whether another request's answer was waited for and, if so, could be used.
        collapsed: Option<bool>,
    },
}

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// The cache was configured not to handle the request.
    Bypass,
    /// Its method asks for that, whatever is stored.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for these request fields.
    VaryMiss,
    /// What is stored for the URI is void.
    Miss,
    /// A fresh response was stored, but the request did not want it.
    Request,
    /// The stored response was stale.
    Stale,
}

impl Forward {
    /// Returns the reason as the field spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

impl Member<'_> {
    /// Writes the member. `out` may be a block that many members are cut from.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.put_slice(self.name.0.as_bytes());
        self.handling.write(out);
        if let Some(ttl) = self.ttl {
            out.put_slice(b"; ttl=");
            put_integer(ttl, out);
        }
        if let Some(key) = self.key {
            out.put_slice(b"; key=");
            put_string(key, out);
        }
        match self.detail {
            Some(detail) if is_token(detail) => {
                out.put_slice(b"; detail=");
                out.put_slice(detail.as_bytes());
            }
            Some(detail) if detail.bytes().all(is_printable) => {
                out.put_slice(b"; detail=");
                put_string(detail.as_bytes(), out);
            }
            _ => {}
        }
    }
}

impl Handling {
    fn write(self, out: &mut BytesMut) {
        let Self::Forwarded {
            reason,
            status,
            stored,
            collapsed,
        } = self
        else {
            return out.put_slice(b"; hit");
        };
        out.put_slice(b"; fwd=");
        out.put_slice(reason.as_str().as_bytes());
        if let Some(status) = status {
            out.put_slice(b"; fwd-status=");
            put_integer(status.into(), out);
        }
        if stored {
            out.put_slice(b"; stored");
        }
        out.put_slice(match collapsed {
            None => b"",
            Some(true) => b"; collapsed",
            Some(false) => b"; collapsed=?0",
        });
    }
}

/// Tells whether `text` is a token of structured fields (RFC 9651 §3.3.4).
fn is_token(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && text.bytes().all(is_inner)
}

/// Tells whether `byte` may stand in a string of structured fields (RFC 9651 §3.3.3).
const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// Writes a string of structured fields; other than printable bytes become `%` and two digits.
fn put_string(bytes: &[u8], out: &mut BytesMut) {
    let digit = |value: u8| {
        if value < 10 {
            b'0' + value
        } else {
            b'A' - 10 + value
        }
    };
    out.put_u8(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.put_slice(&[b'\\', byte]),
            byte if is_printable(byte) => out.put_u8(byte),
            byte => out.put_slice(&[b'%', digit(byte >> 4), digit(byte & 0xf)]),
        }
    }
    out.put_u8(b'"');
}

/// Writes a number, without the machinery of formatting: it is part of every hit.
fn put_integer(number: i64, out: &mut BytesMut) {
    let number = number.clamp(-LARGEST_INTEGER, LARGEST_INTEGER);
    if number < 0 {
        out.put_u8(b'-');
    }
    let mut rest = number.unsigned_abs();
    let mut place = 1;
    while rest / place >= 10 {
        place *= 10;
    }
    while place > 0 {
        let digit = u8::try_from(rest / place).unwrap_or_default();
        out.put_u8(b'0' + digit);
        rest %= place;
        place /= 10;
    }
}

#[cfg(test)]
mod tests;
