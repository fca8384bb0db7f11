//! What in the head of a request decides whether and how it takes part in caching.
//!
//! One walk over the fields, since this is paid by every hit.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use super::guarded::{names_caller, overrides};
use crate::{
    key::{Host, all_declared},
    observe::Bypass,
    policy::Policy,
    semantics::{
        directives::{Flag, RequestDirectives},
        fields,
        storable::Preset,
    },
};

/// The longest URI in bytes that is cached: keys hold it whole.
const LONGEST_URI: usize = 8 << 10;

/// What the fields of a GET or HEAD request say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    marks: u16,
}

impl Facts {
    const AUTHORIZATION: u16 = 1;
    const COOKIE: u16 = 1 << 1;
    const GUARDED: u16 = 1 << 2;
    const RANGE: u16 = 1 << 3;
    const CONDITION: u16 = 1 << 4;
    const DIRECTIVES: u16 = 1 << 5;
    const UPGRADE: u16 = 1 << 6;
    const BODY: u16 = 1 << 7;
    const ENCODING: u16 = 1 << 8;
    const EVENTS: u16 = 1 << 9;
    const CALLER: u16 = 1 << 10;

    /// Reads the fields, and finds the `Host` lines among them.
    #[inline]
    pub(crate) fn read(headers: &HeaderMap) -> (Self, Host<'_>) {
        let mut marks = 0;
        let mut host = Host::Missing;
        for (name, value) in headers {
            if *name == header::HOST {
                host = host.and(value);
            } else {
                marks |= Self::mark(name, value);
            }
        }
        (Self { marks }, host)
    }

    /// Returns what one field says. The registered ones are told apart by a number, so that no text
    /// is compared for the fields that all requests have.
    #[inline]
    fn mark(name: &HeaderName, value: &HeaderValue) -> u16 {
        if *name == header::ACCEPT_ENCODING {
            Self::ENCODING
        } else if *name == header::USER_AGENT || *name == header::ACCEPT_LANGUAGE {
            // Nearly all requests have them, and they say nothing.
            0
        } else if *name == header::ACCEPT {
            if value.as_bytes().starts_with(b"text/event-stream") {
                Self::EVENTS
            } else {
                0
            }
        } else if *name == header::AUTHORIZATION || *name == header::PROXY_AUTHORIZATION {
            Self::AUTHORIZATION
        } else if *name == header::COOKIE {
            Self::COOKIE
        } else if *name == header::RANGE {
            Self::RANGE
        } else if *name == header::IF_NONE_MATCH
            || *name == header::IF_MODIFIED_SINCE
            || *name == header::IF_MATCH
            || *name == header::IF_UNMODIFIED_SINCE
            || *name == header::IF_RANGE
        {
            Self::CONDITION
        } else if *name == header::CACHE_CONTROL || *name == header::PRAGMA {
            Self::DIRECTIVES
        } else if *name == header::UPGRADE {
            Self::UPGRADE
        } else if *name == header::TRANSFER_ENCODING {
            Self::BODY
        } else if *name == header::CONTENT_LENGTH {
            if value.as_bytes() == b"0" {
                0
            } else {
                Self::BODY
            }
        } else if *name == header::FORWARDED {
            Self::GUARDED
        } else {
            let name = name.as_str();
            match name.as_bytes().first() {
                // Most fields are told from the guarded ones by their first letter.
                Some(b'x') if overrides(name) => Self::GUARDED,
                Some(b'c') if name == "cookie2" => Self::COOKIE,
                Some(b'a' | b'c' | b'p' | b'r' | b't' | b'x') if names_caller(name) => Self::CALLER,
                _ => 0,
            }
        }
    }

    const fn has(self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    pub(crate) const fn wants_range(self) -> bool {
        self.has(Self::RANGE)
    }

    pub(crate) const fn has_condition(self) -> bool {
        self.has(Self::CONDITION)
    }

    pub(crate) const fn is_authorized(self) -> bool {
        self.has(Self::AUTHORIZATION)
    }

    pub(crate) const fn negotiates(self) -> bool {
        self.has(Self::ENCODING)
    }

    /// Returns what the client asks of caches; cheap if it asks for nothing.
    pub(crate) fn directives(self, headers: &HeaderMap) -> Option<RequestDirectives> {
        self.has(Self::DIRECTIVES)
            .then(|| RequestDirectives::of(headers))
    }

    /// Returns why the request must not be looked up, stored or joined, or `None` if it may.
    ///
    /// `identified` tells that the policy knows to whom the request belongs and keys by it.
    #[inline]
    pub(crate) fn bypass(
        self,
        headers: &HeaderMap,
        policy: &Policy,
        preset: Preset,
        identified: bool,
    ) -> Option<Bypass> {
        if self.marks & !(Self::RANGE | Self::CONDITION | Self::ENCODING) == 0 {
            return None;
        }
        self.forbids(headers, policy, preset, identified)
    }

    #[inline(never)]
    fn forbids(
        self,
        headers: &HeaderMap,
        policy: &Policy,
        preset: Preset,
        identified: bool,
    ) -> Option<Bypass> {
        if self.has(Self::UPGRADE) {
            return Some(Bypass::Upgrade);
        }
        if self.has(Self::BODY) {
            return Some(Bypass::Body);
        }
        if preset == Preset::Gateway {
            return None;
        }
        if self.has(Self::EVENTS) {
            return Some(Bypass::EventStream);
        }
        if self.has(Self::AUTHORIZATION) && !identified && has_unkeyed_credentials(headers, policy)
        {
            return Some(Bypass::Authorization);
        }
        if self.has(Self::COOKIE) && !identified && !all_declared(headers, policy) {
            return Some(Bypass::Cookie);
        }
        let is_unkeyed = self.has(Self::GUARDED) && has_unkeyed(headers, policy, overrides)
            || self.has(Self::CALLER) && !identified && has_unkeyed(headers, policy, names_caller);
        if is_unkeyed {
            return Some(Bypass::UnkeyedField);
        }
        let no_store = self
            .directives(headers)
            .is_some_and(|asked| asked.has(Flag::NoStore));
        no_store.then_some(Bypass::NoStore)
    }
}

/// Returns whether there are credentials that the policy does not key by, as a field like any other.
pub(crate) fn has_unkeyed_credentials(headers: &HeaderMap, policy: &Policy) -> bool {
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION]
        .iter()
        .any(|name| headers.contains_key(name) && !policy.vary.contains(name))
}

fn has_unkeyed(headers: &HeaderMap, policy: &Policy, guarded: fn(&str) -> bool) -> bool {
    headers
        .keys()
        .any(|name| guarded(name.as_str()) && !policy.vary.contains(name))
}

/// Returns whether a URI with this path and query is longer than what is cached.
#[inline]
pub(crate) fn is_long(path: &str, query: Option<&str>) -> bool {
    path.len() + query.map_or(0, str::len) > LONGEST_URI
}

/// Returns whether the body of a request is known to have something in it although no field says
/// so, as HTTP/2 allows.
#[cfg(feature = "axum")]
#[inline]
pub(crate) fn carries_body<B: 'static>(request: &Request<B>) -> bool {
    let body: &dyn std::any::Any = request.body();
    body.downcast_ref::<axum::body::Body>()
        .is_some_and(|body| !http_body::Body::is_end_stream(body))
}

#[cfg(not(feature = "axum"))]
pub(crate) fn carries_body<B: 'static>(_: &Request<B>) -> bool {
    false
}

/// Returns whether a response to a cross-origin request echoes the origin without saying that it
/// depends on it; shared, it would open the answer to one site for all.
pub(crate) fn hides_origin(request: &HeaderMap, response: &HeaderMap) -> bool {
    request.contains_key(header::ORIGIN)
        && response
            .get(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            .is_some_and(|allowed| allowed != "*")
        && !fields::members(response, &header::VARY)
            .any(|name| name.eq_ignore_ascii_case(b"origin"))
}

/// Returns whether a response is a stream of events, which goes on for as long as its client stays:
/// it is never complete, and nobody else may wait until it is.
pub(crate) fn streams_events(response: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    response
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..EVENTS.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
}

/// Returns whether requests of the method are answered from the store.
#[inline]
pub(crate) fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
