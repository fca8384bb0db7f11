//! How is a stored response written down for others to read?
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `lrdr` |
//! | 1 | version of the format |
//! | 4 | CRC-32 of all that follows |
//! | 1 | coding of the body: 0 as it was sent, 1 gzip, 2 lz4 |
//! | 1 | flags: 1 no use without confirmation, 2 none once stale, 4 immutable, 8 larder may choose the coding |
//! | 2 | status |
//! | 7 × 8 | the moments of [`Life`](super::Life) in milliseconds, absolute, by the clock that readers share, in the order of its fields |
//! | 2 × 8 | epoch and sequence of the [`Position`](super::Position); its local number means nothing elsewhere |
//! | 8 | length of the body as it was sent |
//! | | sections: kind in 1 byte, length in 4, content; the body is the last |
//!
//! Numbers are little-endian. Targets are not written as they are kept, since their hashes mean
//! nothing in another process, but as that from which they are made: [`Origin`](super::Origin) and tags.
//!
//! A reader skips sections that it does not know, so those may be added. What an old reader must
//! not overlook gets a new version, and with that other names in Redis: nodes of both versions then
//! read and write side by side, and neither overwrites what the other has written. A version or a
//! flag that a reader does not know is [`Decoded::Newer`], which is a miss, but no reason to delete
//! what newer nodes can read. Everything else that is not to the letter is
//! an error. A released format is read by the next two minor releases; `tests/fixtures` has a sample
//! of each.
//!
//! Where the responses of a URL vary, their own keys have the selecting values in them, and under the
//! key of the URL stands which fields these are values of: `lrvy`, version, CRC-32, the sections `KEY`
//! and `VARIATION`, the latter without values.
//!
//! Decoding allocates in proportion to the length of the input, whatever the lengths in it say. The
//! body is a slice of the input, and keeps it alive as a whole. It is not unpacked here.

mod read;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;

pub(crate) use self::{
    read::{Decoded, decode},
    write::{encode, encode_names},
};
use crate::key::Key;

const MAGIC: [u8; 4] = *b"lrdr";

/// What the names of `Vary` begin with. More than one bit away from the other, which no checksum
/// covers.
const NAMES_MAGIC: [u8; 4] = *b"lrvy";

/// The format that is written. Formats up to this one are read.
pub(crate) const VERSION: u8 = 1;

/// How many bytes come before what the checksum covers: magic, version, checksum.
pub(crate) const PREAMBLE: usize = 9;

/// An entry in two pieces, so that its body need not be copied to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
}

/// The fields that the newest response of a URL varies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The full key of the URL.
    pub(crate) key: Key,
    pub(crate) names: Arc<[HeaderName]>,
}

/// The flags of format 1.
mod flag {
    pub(super) const NO_CACHE: u8 = 1;
    pub(super) const MUST_REVALIDATE: u8 = 2;
    pub(super) const IMMUTABLE: u8 = 4;
    pub(super) const NEGOTIATED: u8 = 8;
    pub(super) const ALL: u8 = 15;
}

/// The kinds of sections. All but `KEY`, `FIELDS`, `AUTHORITY`, `PATH` and `BODY` may be missing.
mod section {
    pub(super) const KEY: u8 = 1;
    /// The selecting values (length in 4 bytes), then the names of `Vary`, each with 2.
    pub(super) const VARIATION: u8 = 2;
    /// Per line: 1 byte of which bit 0 tells a sensitive value, name (2), value (4).
    pub(super) const FIELDS: u8 = 3;
    /// As `FIELDS`.
    pub(super) const TRAILERS: u8 = 4;
    /// Per tag: text (2).
    pub(super) const TAGS: u8 = 5;
    pub(super) const AUTHORITY: u8 = 6;
    pub(super) const PATH: u8 = 7;
    pub(super) const QUERY: u8 = 8;
    pub(super) const ROUTE: u8 = 9;
    pub(super) const BODY: u8 = 255;
}

#[cfg(test)]
mod tests;
