//! What does a stored response cost in memory?
//!
//! Everything it holds, the allocator's share of every block included. Blocks that may be shared
//! with others (tags, `Vary` names) count in full, and so do the owners that a `Bytes` gets when it is
//! first cloned. Not counted here: what is [kept once](super::pool) for all, and the slot of the index,
//! which is the store's to add.

use std::mem::size_of;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Entry, Fields, Head, StoredBody, Variation};

/// The two counters in front of what an `Arc` holds, in bytes.
const ARC: usize = 2 * size_of::<usize>();

/// What the first clone of a `Bytes` adds to it, in bytes: its shared owner. Every hit clones.
pub(super) const SHARED: usize = 3 * size_of::<usize>();

/// A field in a `HeaderMap` in bytes: hash, name, value and links.
const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 4 * size_of::<usize>();

/// A further line of one field in a `HeaderMap` in bytes: value and links both ways.
const FURTHER_LINE: usize = size_of::<HeaderValue>() + 4 * size_of::<usize>();

/// A position in the table of a `HeaderMap` in bytes.
const POSITION: usize = 2 * size_of::<u16>();

/// Returns what an allocator takes for `bytes` bytes; nothing for none.
///
/// Counted as the GNU allocator does on 64 bits: 8 bytes of its own, in steps of 16, at least 32.
/// Allocators with size classes are near to that on average.
pub(crate) const fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => bytes.saturating_add(8 + 15) & !15,
    }
}

impl Entry {
    /// Returns what this entry costs in memory, in bytes. It never changes.
    pub(crate) fn weight(&self) -> u64 {
        let trailers = self.trailers.as_ref().map_or(0, |trailers| {
            block(size_of::<HeaderMap>()) + map_weight(trailers) + text(trailers)
        });
        let compressed = self
            .compressed
            .as_ref()
            .map_or(0, |fields| block(size_of::<Fields>()) + fields.weight());
        let bytes = block(ARC + size_of::<Self>())
            + self.head.weight()
            + self.body.weight()
            + compressed
            + self.value_weight()
            + trailers;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(feature = "data")]
impl Entry {
    /// Returns about what the decoded value costs: as much as its written form.
    fn value_weight(&self) -> usize {
        if self.value().is_set() {
            block(ARC + usize::try_from(self.body.length).unwrap_or(usize::MAX / 2))
        } else {
            0
        }
    }
}

#[cfg(not(feature = "data"))]
impl Entry {
    #[expect(
        clippy::unused_self,
        reason = "this has the face of the one with values"
    )]
    fn value_weight(&self) -> usize {
        0
    }
}

impl Head {
    fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| block(ARC + tag.len())).sum();
        block(ARC + size_of::<Self>())
            + block(ARC + self.key.len())
            + self.variation.as_ref().map_or(0, |variation| {
                block(size_of::<Variation>()) + variation.weight()
            })
            + block(size_of_val(&*self.seal.targets))
            + block(size_of_val(&*self.tags))
            + tags
            + self.fields.weight()
    }
}

impl Variation {
    /// Returns what the names and values cost in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let names: usize = self.names.iter().map(name_weight).sum();
        block(ARC + size_of_val(&*self.names)) + names + block(self.selecting.len())
    }
}

impl StoredBody {
    fn weight(&self) -> usize {
        match self.bytes.len() {
            0 => 0,
            length => block(length) + block(SHARED),
        }
    }
}

/// Returns what a map like `headers` costs, without its text.
pub(super) fn map_weight(headers: &HeaderMap) -> usize {
    let fields = headers.keys_len();
    if fields == 0 {
        return 0;
    }
    // The table has a power of two of places, a quarter of which stays free.
    let places = (fields + fields / 3).next_power_of_two();
    let places = places
        .max(headers.capacity() + headers.capacity() / 3)
        .max(8);
    block(POSITION * places)
        + block(FIELD * fields)
        + block(FURTHER_LINE * (headers.len() - headers.keys_len()))
}

/// Returns what the names and values of `headers`, made by [`super::own`], cost.
fn text(headers: &HeaderMap) -> usize {
    let names: usize = headers.keys().map(name_weight).sum();
    let values: usize = headers.values().map(HeaderValue::len).sum();
    names + block(values) + block(SHARED)
}

/// Returns what a field name allocates: nothing for those that `http` keeps as a number.
pub(super) fn name_weight(name: &HeaderName) -> usize {
    if NUMBERED.contains(name) {
        0
    } else {
        block(name.as_str().len()) + block(SHARED)
    }
}

/// The fields that `http` keeps as a number, as far as stored responses have them or vary on them.
/// One that is missing here counts for some 64 bytes that it does not take.
const NUMBERED: [HeaderName; 40] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::AGE,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CACHE_STATUS,
    header::CDN_CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::ORIGIN,
    header::PRAGMA,
    header::REFERRER_POLICY,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::USER_AGENT,
    header::VARY,
    header::VIA,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_FRAME_OPTIONS,
    header::X_XSS_PROTECTION,
];

#[cfg(test)]
mod tests;
