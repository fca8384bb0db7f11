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

/// Lifetimes.
impl Policy {
    /// Returns a policy in which nothing is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a policy by which answers that say nothing of their own lifetime are fresh for `ttl`.
    ///
    /// At most 7 days. Zero keeps answers for validation only.
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    /// Limits how long an answer is fresh, whatever it says of itself. Default: 7 days.
    pub fn ttl_cap(mut self, cap: Duration) -> Self {
        self.ttl_cap = Some(cap);
        self
    }

    /// Sets how long a stored 404 or 410 is fresh: at most 10 s, which is also the default.
    ///
    /// Counts only where [`store_status`](Self::store_status) names one of them.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = Some(ttl);
        self
    }

    /// Sets for how long after it went stale an answer is still served while a new one is fetched.
    ///
    /// Nobody waits for that fetch. Counted from the end of freshness, not from storage: 60 s fresh
    /// and a window of 300 s make 360 s in all. A response's own `stale-while-revalidate` wins
    /// (RFC 5861 §3). Default: zero, 10 s in a `SwrLayer`.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// Sets for how long after it went stale an answer is served if the handler fails.
    ///
    /// A failure is an error, a panic, a timeout, or a status of 500, 502, 503 or 504. Counted from
    /// the end of freshness. A response's own `stale-if-error` wins (RFC 5861 §4). Default: zero,
    /// 1 h in a `SwrLayer`.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Sets how long a request waits for the handler while a stale answer is at hand.
    ///
    /// After that it is given the stale one, within the window of
    /// [`stale_if_error`](Self::stale_if_error), and the handler goes on in the background.
    /// Default: as long as it takes.
    pub fn soft_timeout(mut self, wait: Duration) -> Self {
        self.soft_timeout = Some(wait);
        self
    }

    /// Sets after which share of its lifetime a reader starts the refresh of a fresh answer.
    ///
    /// Above 0 and at most 1, where 1 means never. Default: never, 0.9 in a `SwrLayer`.
    /// Lifetimes below 5 s are not refreshed ahead.
    pub fn refresh_ahead(mut self, share: f64) -> Self {
        self.refresh_ahead = Some(share);
        self
    }

    /// Lets readers refresh early by chance, more likely the nearer the end and the dearer the fill.
    ///
    /// `beta` 1 is the value of the published algorithm (XFetch, Vattani, Chierichetti and
    /// Lowenstein 2015), larger ones refresh earlier, 0 is off. Default: off.
    pub fn xfetch(mut self, beta: f64) -> Self {
        self.xfetch = Some(beta);
        self
    }

    /// Shortens each lifetime by a random part, `share` of it at most.
    ///
    /// From 0 to 0.1; never lengthens. Default: 0.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Some(share);
        self
    }
}

/// Names and keys.
impl Policy {
    /// Adds a tag by which answers are purged, with route parameters in braces.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let product = Policy::ttl(mins(5)).tag("product:{id}");
    /// ```
    pub fn tag(mut self, template: &str) -> Self {
        match super::tag::template(template) {
            Ok(template) if self.tags.contains(&template) => {}
            Ok(template) => self.tags.push(template),
            Err(mistake) => self.mistakes.push(mistake),
        }
        self
    }

    /// Adds several tags, see [`tag`](Self::tag).
    pub fn tags<T: AsRef<str>>(self, templates: impl IntoIterator<Item = T>) -> Self {
        templates
            .into_iter()
            .fold(self, |policy, template| policy.tag(template.as_ref()))
    }

    /// Sets what stands for the path in the key. Default: [`Key::url`].
    pub fn key(mut self, form: Key) -> Self {
        self.key = Some(form);
        self
    }

    /// Lists the query parameters that the answer depends on.
    ///
    /// The key holds these alone, ordered by name (equal names keep their order), and all others
    /// are removed from the URI that the handler sees: it could otherwise put one of them into an
    /// answer that others share. Names are compared decoded, values raw. Default: the whole raw
    /// query.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// let list = Policy::ttl(mins(1)).query(["page", "sort"]);
    /// ```
    pub fn query<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.query = Some(self.names("query parameter", names, |name| !name.is_empty()));
        self
    }

    /// Lists no query parameter: neither the key nor the handler sees the query.
    pub fn ignore_query(mut self) -> Self {
        self.query = Some(Vec::new());
        self
    }

    /// Adds request headers to the key, with all their lines.
    ///
    /// For what the handler reads but does not say in `Vary`. A header of the guarded kind
    /// (`Authorization`, `X-Forwarded-Host`, ...) lets requests pass by the cache unless it is
    /// named here.
    pub fn vary<T: AsRef<str>>(mut self, headers: impl IntoIterator<Item = T>) -> Self {
        for header in headers {
            let text = header.as_ref();
            match HeaderName::from_bytes(text.as_bytes()) {
                Ok(name) => self.vary.push(name),
                Err(_) => self.mistake(format!(
                    "`{}` is no header name; name one header each",
                    text.escape_debug()
                )),
            }
        }
        sort(&mut self.vary, HeaderName::as_str);
        self
    }

    /// Adds cookies to the key, by name.
    ///
    /// A request with a cookie that is neither keyed nor [ignored](Self::ignore_cookies) passes by
    /// the cache.
    pub fn key_cookies<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let more = self.names("cookie", names, is_token);
        self.key_cookies.extend(more);
        sort(&mut self.key_cookies, |name| name);
        self
    }

    /// Names cookies that the answer does not depend on, such as those of analytics.
    ///
    /// The handler still sees them: name none that it reads.
    pub fn ignore_cookies<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.ignore_cookies = Some(self.names("cookie", names, is_token));
        self
    }

    /// Gives each owner of requests entries of their own.
    ///
    /// The function names the owner, say from an extension that the layer for sign-in left. Whoever
    /// gets the same name shares answers, so it must come from something checked. With a name,
    /// `Authorization` and cookies no longer make a request pass by; `None` is nobody, for whom
    /// they do.
    ///
    /// ```
    /// use larder::{Policy, mins};
    ///
    /// #[derive(Clone)]
    /// struct User(u64);
    ///
    /// let mine = Policy::ttl(mins(1))
    ///     .key_by_identity(|request| Some(request.extensions.get::<User>()?.0.to_string()));
    /// ```
    pub fn key_by_identity(
        mut self,
        identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.identity = Some(Identity(Arc::new(identify)));
        self
    }

    /// Honours the `No-Vary-Search` field of responses. Default: off.
    pub fn no_vary_search(mut self, on: bool) -> Self {
        self.no_vary_search = Some(on);
        self
    }
}

/// What is stored, and how.
impl Policy {
    /// Also stores answers of these statuses: of 204, 302, 307, 404 and 410.
    ///
    /// 200, 203, 301 and 308 are stored without being named.
    ///
    /// ```
    /// use http::StatusCode;
    /// use larder::{Policy, mins, secs};
    ///
    /// let product = Policy::ttl(mins(5))
    ///     .store_status([StatusCode::NOT_FOUND])
    ///     .negative_ttl(secs(2));
    /// ```
    pub fn store_status(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.store_status = Some(statuses.into_iter().collect());
        self
    }

    /// Stores answers although they set cookies, if they set none but these.
    ///
    /// The cookies are stored and sent to everybody who is served the answer: name only those
    /// whose value is the same for all.
    pub fn store_set_cookie<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.store_set_cookie = Some(SetCookies::Named(self.names("cookie", names, is_token)));
        self
    }

    /// Stores answers whatever cookies they set, see [`store_set_cookie`](Self::store_set_cookie).
    ///
    /// One session cookie among them, and all readers share that session.
    pub fn store_any_set_cookie(mut self) -> Self {
        self.store_set_cookie = Some(SetCookies::Any);
        self
    }

    /// Lets all requests of the route pass by the cache: nothing is looked up or stored.
    pub fn no_store(mut self) -> Self {
        self.no_store = Some(true);
        self
    }

    /// Sets how bodies are kept: `true` is [`Compress::Gzip`], `false` [`Compress::Off`].
    ///
    /// Only bodies of 1 KiB or more that are worth it are compressed.
    pub fn compress(mut self, how: impl Into<Compress>) -> Self {
        self.compress = Some(how.into());
        self
    }

    /// Sets the longest body that is stored, in bytes as the handler sends them.
    ///
    /// A longer one reaches its client all the same. Default: the limit of the store.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Sets how long a request waits for another one that fetches the same answer. Default: 5 s.
    pub fn wait_limit(mut self, wait: Duration) -> Self {
        self.wait_limit = Some(wait);
        self
    }

    /// Repeats each invalidation that a mutation of this route makes, once, after `delay`.
    ///
    /// For handlers that read from a database replica: set it above the replica's lag, so that what
    /// was filled from the old replica in between is voided too. Default: not repeated.
    pub fn hold(mut self, delay: Duration) -> Self {
        self.hold = Some(delay);
        self
    }
}

impl Policy {
    pub(super) fn mistake(&mut self, message: String) {
        self.mistakes
            .push(Error::new(ErrorKind::Configuration, message));
    }

    /// Returns the names sorted and each once; those that are not `good` become mistakes.
    fn names<T: AsRef<str>>(
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
fn is_token(name: &str) -> bool {
    let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}
