//! The settings of a route, each of them optional so that layers of them can be laid over each other.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode, request::Parts};

use super::{Key, Template};
use crate::error::{Error, ErrorKind};

/// What is declared for a route: how long its answers live, what their key holds, what purges them.
///
/// Every setting may be left out. Policies are laid over each other, nearest first: next to the
/// route, in the table of [`Routes`](crate::Routes), as learned from a response, the default of the
/// layer. Of each setting the nearest one counts; what makes an entry narrower or easier to purge
/// (tags, headers and cookies in the key) adds up instead.
///
/// What a response says of its own lifetime (`Cache-Control`, [`CacheHint`](crate::CacheHint)) wins
/// over the policy; what it forbids (`private`, `no-store`, `Set-Cookie`) no policy overrules but
/// by the settings named for it.
///
/// A bad value is kept and reported by [`check`](Self::check), which building a table of routes calls.
///
/// ```
/// use larder::{Policy, mins, secs};
///
/// let products = Policy::ttl(mins(5))
///     .stale_while_revalidate(secs(30))
///     .query(["page", "sort"])
///     .tags(["product:{id}", "products"]);
/// products.check()?;
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Policy {
    pub(crate) ttl: Option<Duration>,
    pub(crate) ttl_cap: Option<Duration>,
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    /// The share of the lifetime after which a reader starts a refresh; 1 for never.
    pub(crate) refresh_ahead: Option<f64>,
    /// The beta of XFetch; 0 for off.
    pub(crate) xfetch: Option<f64>,
    pub(crate) jitter: Option<f64>,
    pub(crate) tags: Vec<Template>,
    pub(crate) key: Option<Key>,
    /// The listed query parameters, sorted, each once; `None` for the raw query.
    pub(crate) query: Option<Vec<Box<str>>>,
    /// The request headers in the key, sorted by name, each once.
    pub(crate) vary: Vec<HeaderName>,
    /// The cookies in the key, sorted, each once.
    pub(crate) key_cookies: Vec<Box<str>>,
    pub(crate) ignore_cookies: Option<Vec<Box<str>>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) store_status: Option<Vec<StatusCode>>,
    pub(crate) store_set_cookie: Option<SetCookies>,
    pub(crate) no_store: Option<bool>,
    pub(crate) no_vary_search: Option<bool>,
    pub(crate) compress: Option<Compress>,
    pub(crate) max_body: Option<u64>,
    pub(crate) wait_limit: Option<Duration>,
    pub(crate) hold: Option<Duration>,
    /// What was wrong with values as they were set.
    pub(super) mistakes: Vec<Error>,
}

/// How larder keeps the bodies of a route.
///
/// ```
/// use larder::{Compress, Policy, mins};
///
/// let pictures = Policy::ttl(mins(5)).compress(false);
/// let internal = Policy::ttl(mins(5)).compress(Compress::Lz4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compress {
    /// As the handler sent them.
    Off,
    /// As gzip, which clients that accept it are sent as it is (feature `gzip`).
    Gzip,
    /// As lz4, which only saves memory and is never sent (feature `lz4`).
    Lz4,
}

impl From<bool> for Compress {
    fn from(on: bool) -> Self {
        if on { Self::Gzip } else { Self::Off }
    }
}

/// Which cookies a response may set and be stored all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetCookies {
    Named(Vec<Box<str>>),
    Any,
}

/// Says to whom a request belongs.
#[derive(Clone)]
pub(crate) struct Identity(Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>);

impl Identity {
    pub(super) fn new(identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(identify))
    }

    /// Returns to whom the request belongs; `None` is nobody.
    pub(crate) fn of(&self, request: &Parts) -> Option<String> {
        (self.0)(request)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Policy {
    pub(super) fn mistake(&mut self, message: String) {
        self.mistakes
            .push(Error::new(ErrorKind::Configuration, message));
    }

    /// Returns the names sorted and each once; those that are not `good` become mistakes.
    pub(super) fn names<T: AsRef<str>>(
        &mut self,
        what: &str,
        names: impl IntoIterator<Item = T>,
        good: fn(&str) -> bool,
    ) -> Vec<Box<str>> {
        let mut kept: Vec<Box<str>> = Vec::new();
        for name in names {
            let name = name.as_ref();
            if good(name) {
                kept.push(name.into());
            } else {
                self.mistake(format!("`{}` is no name of a {what}", name.escape_debug()));
            }
        }
        sort(&mut kept, |name| name);
        kept
    }
}

/// Sorts by name and keeps one of equal ones.
pub(super) fn sort<T>(list: &mut Vec<T>, name: impl Fn(&T) -> &str) {
    list.sort_by(|one, other| name(one).cmp(name(other)));
    list.dedup_by(|one, other| name(one) == name(other));
}

/// Returns whether `name` is a token, as names of cookies are (RFC 6265 §4.1.1).
pub(super) fn is_token(name: &str) -> bool {
    let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}
