//! Writing the key of a request.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use super::{KeyBuffer, cookies, query};
use crate::policy::{Pattern, Policy, Shape, percent};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};

/// The version of the format below. It is the first byte of every key: raise it with any change, so
/// that nodes of two releases do not read each other's entries for something else.
pub(super) const FORMAT: u8 = 1;

/// The class of methods that share an answer: GET, and HEAD which is answered from it.
pub(super) const CLASS_READ: u8 = b'R';

/// The class of calls of gRPC, whose message stands behind the parts of the head.
#[cfg(feature = "grpc")]
const CLASS_CALL: u8 = b'C';

pub(super) const SHAPE_URL: u8 = b'U';
pub(super) const SHAPE_ROUTE: u8 = b'P';

pub(super) const QUERY_NONE: u8 = b'n';
pub(super) const QUERY_RAW: u8 = b'r';
pub(super) const QUERY_LISTED: u8 = b'l';

/// What of a request can be in its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedRequest<'a> {
    /// The raw path as the client sent it, whatever routers cut off since.
    pub(crate) path: &'a str,
    /// The raw query, or none if there is no question mark.
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// The pattern of the route, where it is known.
    pub(crate) pattern: Option<&'a Pattern>,
    /// To whom the request belongs, where the policy asks for it.
    pub(crate) identity: Option<&'a str>,
}

/// Writes the keys of one layer.
///
/// | part | written as |
/// | --- | --- |
/// | format, class of methods | a byte each |
/// | namespace, scheme as set on the layer, authority | a part each |
/// | path | `U` and the raw path; or `P`, the pattern, and a part for each parameter's decoded value |
/// | query | `n`; or `r` and the raw query; or `l` and a group of pairs for each listed name |
/// | headers | a group of lines for each declared name |
/// | cookies | a group of cookies for each declared name |
/// | owner | a part, or an absent one |
///
/// A part is its length and its bytes; a group is a name and any number of parts; groups end with a
/// mark. So a key can be read back, and two of them are equal only if all their parts are, those
/// written by different policies included.
#[derive(Clone, Debug)]
pub(crate) struct KeyRecipe {
    /// What is the same in all keys of the layer.
    start: Box<[u8]>,
    /// Tells it from all others of the process.
    number: u64,
}

impl KeyRecipe {
    /// Returns the recipe of a layer.
    pub(crate) fn new(namespace: &str, scheme: &str) -> Self {
        Self::of(CLASS_READ, namespace, scheme)
    }

    /// Returns the recipe of a layer for calls. Whether they came encrypted changes no answer.
    #[cfg(feature = "grpc")]
    pub(crate) fn for_calls(namespace: &str) -> Self {
        Self::of(CLASS_CALL, namespace, "")
    }

    fn of(class: u8, namespace: &str, scheme: &str) -> Self {
        /// Zero stands for none.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut start = KeyBuffer::default();
        start.byte(FORMAT);
        start.byte(class);
        start.part(namespace.as_bytes());
        start.part(scheme.as_bytes());
        Self {
            start: start.as_bytes().into(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Begins a key over what the buffer holds: with what is the same in all keys of the layer, and
    /// the authority of the request, as [`authority`](super::authority) gives it.
    pub(crate) fn begin(&self, authority: &str, key: &mut KeyBuffer) {
        key.clear();
        key.raw(&self.start);
        #[cfg(larder_sabotage)]
        let authority = if is_planted(Fault::NoHost) {
            "any"
        } else {
            authority
        };
        key.begin(self.number, authority.as_bytes());
    }

    /// Cuts the key in the buffer to its beginning, if that is one of this layer and of `authority`,
    /// and tells whether it is.
    ///
    /// Only a good authority is ever written to a key, so that one which stands in it needs no
    /// second look: most requests of a thread are for the site that the last one was for.
    #[inline]
    pub(crate) fn begin_again(&self, authority: &[u8], key: &mut KeyBuffer) -> bool {
        key.begin_again(self.number, authority)
    }

    /// Writes the rest of a key that was begun. Allocates only if the buffer grows.
    #[expect(
        clippy::unused_self,
        reason = "it goes on where `begin` has ended, though alike in all layers"
    )]
    pub(crate) fn finish(&self, policy: &Policy, request: &KeyedRequest<'_>, key: &mut KeyBuffer) {
        if policy.key.is_none_or(|form| form.shape == Shape::Url) || !write_route(request, key) {
            key.marked(SHAPE_URL, request.path.as_bytes());
        }
        match (&policy.query, request.query) {
            (None, None) => key.byte(QUERY_NONE),
            (None, Some(raw)) => key.marked(QUERY_RAW, raw.as_bytes()),
            (Some(names), raw) => write_listed(names, raw, key),
        }
        write_declared(policy, request, key);
    }

    /// Writes the same for a policy that is [plain](is_plain), and a request without an owner.
    #[inline]
    #[expect(clippy::unused_self, reason = "as above")]
    pub(crate) fn finish_plainly(&self, path: &str, query: Option<&str>, key: &mut KeyBuffer) {
        key.marked(SHAPE_URL, path.as_bytes());
        match query {
            None => key.byte(QUERY_NONE),
            Some(raw) => key.marked(QUERY_RAW, raw.as_bytes()),
        }
        key.plain_end();
    }
}

/// Returns whether the URL alone is in the keys of a policy, as in those of most.
#[inline]
pub(crate) fn is_plain(policy: &Policy) -> bool {
    policy.query.is_none()
        && policy.vary.is_empty()
        && policy.key_cookies.is_empty()
        && policy.key.is_none_or(|form| form.shape == Shape::Url)
}

/// Writes the pattern and its parameters, and tells whether the path is of that pattern.
///
/// The parameters are written even if the policy forgot them, for without them all paths of the
/// pattern would share an entry; and a path that is not of the pattern is written as it is.
fn write_route(request: &KeyedRequest<'_>, key: &mut KeyBuffer) -> bool {
    let Some(pattern) = request.pattern else {
        return false;
    };
    let params = pattern.params(request.path);
    let is_whole = params.raw().count() == pattern.names().len();
    if is_whole {
        key.byte(SHAPE_ROUTE);
        key.part(pattern.text().as_bytes());
        for (_, value) in params.raw() {
            key.decoded(percent::bytes(value));
        }
    }
    is_whole
}

fn write_listed(names: &[Box<str>], raw: Option<&str>, key: &mut KeyBuffer) {
    key.byte(QUERY_LISTED);
    for name in names {
        key.group(name, query::named(raw, name).map(str::as_bytes));
    }
    key.end();
}

/// Writes the declared headers and cookies, and the owner.
fn write_declared(policy: &Policy, request: &KeyedRequest<'_>, key: &mut KeyBuffer) {
    for name in &policy.vary {
        let lines = request.headers.get_all(name).into_iter();
        key.group(name.as_str(), lines.map(http::HeaderValue::as_bytes));
    }
    key.end();
    for name in &policy.key_cookies {
        key.group(name, cookies::named(request.headers, name));
    }
    key.end();
    match request.identity {
        Some(owner) => key.part(owner.as_bytes()),
        None => key.absent(),
    }
}
