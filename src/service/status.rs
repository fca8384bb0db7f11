//! Our member of `Cache-Status` (RFC 9211).

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

use crate::{
    entry::CACHE_STATUS,
    handle::Core,
    observe::Bypass,
    semantics::{
        cache_status::{Forward, Handling, MEMORY, Member, SECOND},
        fields,
    },
};

/// Returns the member of an answer out of the store, if it is one of those that are kept.
#[inline]
pub(crate) fn ready_hit(core: &Core, ttl: i64) -> Option<&'static HeaderValue> {
    core.hits.and_then(|hits| hits.kept(ttl))
}

/// Returns the member of an answer out of the store.
pub(crate) fn hit(core: &Core, ttl: i64) -> Option<HeaderValue> {
    match core.hits {
        Some(hits) => Some(hits.get(ttl)),
        None => member(core, Handling::Hit, Some(ttl), Some(MEMORY)),
    }
}

/// Returns the member of an answer out of the second tier.
pub(crate) fn second_hit(core: &Core, ttl: i64) -> Option<HeaderValue> {
    match core.hits {
        Some(hits) => Some(hits.second(ttl)),
        None => member(core, Handling::Hit, Some(ttl), Some(SECOND)),
    }
}

/// Returns the member of an answer that the handler gave.
pub(crate) fn forwarded(
    core: &Core,
    reason: Forward,
    status: Option<u16>,
    stored: bool,
    ttl: Option<i64>,
    detail: Option<&str>,
) -> Option<HeaderValue> {
    let handling = Handling::Forwarded {
        reason,
        status,
        stored,
        collapsed: None,
    };
    member(core, handling, ttl, detail)
}

/// Returns the member of an answer that another request's handler run gave.
pub(crate) fn collapsed(core: &Core, ttl: Option<i64>) -> Option<HeaderValue> {
    let handling = Handling::Forwarded {
        reason: Forward::Miss,
        status: None,
        stored: false,
        collapsed: Some(true),
    };
    member(core, handling, ttl, None)
}

/// Adds the member of an answer that did not take part in caching.
pub(crate) fn add_bypass(core: &Core, reason: Bypass, headers: &mut HeaderMap) {
    let handling = Handling::Forwarded {
        reason: Forward::Bypass,
        status: None,
        stored: false,
        collapsed: None,
    };
    if let Some(member) = member(core, handling, None, Some(reason.as_str())) {
        headers.append(CACHE_STATUS, member);
    }
}

fn member(
    core: &Core,
    handling: Handling,
    ttl: Option<i64>,
    detail: Option<&str>,
) -> Option<HeaderValue> {
    let name = core.name.as_ref()?;
    let mut text = BytesMut::with_capacity(64);
    Member {
        name,
        handling,
        ttl,
        key: None,
        detail,
    }
    .write(&mut text);
    Some(fields::value(text))
}
