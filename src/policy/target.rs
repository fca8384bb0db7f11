//! What can be invalidated: one kind of name for pages, tags, prefixes, routes and hosts.
//!
//! There are no sets from a tag to its keys. An entry carries the targets it belongs to, an
//! invalidation stamps a target, and a read compares the two; so a purge costs the same whatever the
//! number of entries, and there is no index that could leak.
//!
//! A target is wider than a key, never narrower. Paths are compared percent-decoded, queries
//! decoded and in any order, authorities in small letters: `/items/%31` and `/items/1` are one
//! resource to whoever invalidates it, although they are two keys.

mod name;

use std::{borrow::Cow, cell::RefCell, fmt, sync::Arc};

use self::name::Namer;
#[cfg(feature = "redis")]
pub(crate) use self::name::bucket;
use super::{percent, tag};

/// Something that can be invalidated.
///
/// ```
/// use larder::Target;
///
/// assert_eq!(Target::url("/items/%31"), Target::resource(None, "/items/1"));
/// assert_eq!(Target::url("https://shop.test/a?x=1&y=2").to_string(), "url shop.test/a?x=1&y=2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Every entry of the namespace.
    Everything,
    /// Every entry of one authority, as it stands in the key (`example.com:8080`).
    #[non_exhaustive]
    Host(Arc<str>),
    /// Every entry of one route pattern (`/items/{id}`), whatever its parameters are called.
    #[non_exhaustive]
    Route(Arc<str>),
    /// Every entry that carries the tag.
    #[non_exhaustive]
    Tag(Arc<str>),
    /// One path with all its queries and variants; on every authority if none is given.
    #[non_exhaustive]
    Resource {
        /// The authority, or none for all of them.
        authority: Option<Arc<str>>,
        /// The path, percent-decoded.
        path: Arc<str>,
    },
    /// One path with one query, and all variants of it; on every authority if none is given.
    #[non_exhaustive]
    Exact {
        /// The authority, or none for all of them.
        authority: Option<Arc<str>>,
        /// The path, percent-decoded.
        path: Arc<str>,
        /// The query, its pairs decoded and sorted; empty for no query.
        query: Arc<str>,
    },
    /// A path and all below it, at segment boundaries: `/a` covers `/a` and `/a/b`, not `/ab`.
    #[non_exhaustive]
    Prefix {
        /// The authority, or none for all of them.
        authority: Option<Arc<str>>,
        /// The path, percent-decoded, without a slash at its end.
        path: Arc<str>,
    },
}

impl Target {
    /// Returns the target of a tag.
    ///
    /// Control characters in it become U+FFFD and it is cut after 128 bytes, as on the entries
    /// that carry it.
    #[must_use]
    pub fn tag(tag: &str) -> Self {
        Self::Tag(tag::fitted(tag).into())
    }

    /// Returns the target of a cache group of one origin (RFC 9875 §2).
    ///
    /// It is a tag that nobody else can write, since tags have no control characters.
    pub(crate) fn group(authority: &str, group: &str) -> Self {
        Self::Tag(Self::group_tag(authority, group))
    }

    /// Returns the tag that a cache group of one origin is.
    pub(crate) fn group_tag(authority: &str, group: &str) -> Arc<str> {
        format!("\u{1}{authority}\u{1}{group}").into()
    }

    /// Returns the target of a route pattern.
    #[must_use]
    pub fn route(pattern: &str) -> Self {
        Self::Route(pattern.into())
    }

    /// Returns the target of an authority: a host, with the port if the request names one.
    #[must_use]
    pub fn host(authority: &str) -> Self {
        Self::Host(lower(authority))
    }

    /// Returns the target of a URL, or of a path on every authority.
    ///
    /// With a query it is that one URL, without one the path with all its queries. Where a policy
    /// lists query parameters, leave the others out: name the URL as the handler sees it.
    #[must_use]
    pub fn url(url: &str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let after_scheme = url
            .split_once("://")
            .filter(|(scheme, _)| !scheme.contains(['/', '?']));
        let (authority, rest) = match after_scheme {
            Some((_, rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                (Some(authority), rest)
            }
            None => (None, url),
        };
        match rest.split_once('?') {
            Some((path, query)) => Self::exact(authority, path, Some(query)),
            None => Self::resource(authority, rest),
        }
    }

    /// Returns the target of a raw path with all its queries and variants.
    ///
    /// A path without a slash at its begin is given one, here and in the next two.
    #[must_use]
    pub fn resource(authority: Option<&str>, raw_path: &str) -> Self {
        Self::resource_decoded(authority, &percent::text(raw_path))
    }

    /// Returns the target of a raw path with one raw query, or with none, in all variants.
    ///
    /// ```
    /// use larder::Target;
    ///
    /// let page = Target::exact(Some("shop.test"), "/products", Some("page=2"));
    /// assert_eq!(page, Target::url("https://shop.test/products?page=2"));
    /// ```
    #[must_use]
    pub fn exact(authority: Option<&str>, raw_path: &str, raw_query: Option<&str>) -> Self {
        Self::Exact {
            authority: authority.map(lower),
            path: rooted(&percent::text(raw_path)).into(),
            query: canonical(raw_query.unwrap_or_default()).into(),
        }
    }

    /// Returns the target of a raw path and everything below it.
    ///
    /// ```
    /// use larder::Target;
    ///
    /// assert_eq!(Target::prefix(None, "/docs/").to_string(), "prefix /docs");
    /// ```
    #[must_use]
    pub fn prefix(authority: Option<&str>, raw_path: &str) -> Self {
        Self::prefix_decoded(authority, &percent::text(raw_path))
    }

    /// Returns the targets that every entry of a request belongs to, by name; tags are the caller's.
    #[cfg(feature = "admin")]
    pub(crate) fn of_request(
        authority: &str,
        raw_path: &str,
        raw_query: Option<&str>,
        route: Option<&str>,
    ) -> Vec<Self> {
        let mut all = vec![Self::Everything, Self::host(authority)];
        all.extend(route.map(Self::route));
        let path = percent::text(raw_path);
        let ends = path.match_indices('/').map(|(at, _)| at);
        let ends: Vec<_> = ends.chain([path.len()]).collect();
        for host in [Some(authority), None] {
            all.push(Self::resource(host, raw_path));
            all.push(Self::exact(host, raw_path, raw_query));
            for end in ends.iter().take(TargetId::MAX_PREFIX_DEPTH) {
                all.push(Self::Prefix {
                    authority: host.map(lower),
                    path: path.get(..*end).unwrap_or_default().into(),
                });
            }
        }
        all
    }

    pub(super) fn resource_decoded(authority: Option<&str>, path: &str) -> Self {
        Self::Resource {
            authority: authority.map(lower),
            path: rooted(path).into(),
        }
    }

    pub(super) fn prefix_decoded(authority: Option<&str>, path: &str) -> Self {
        let path = rooted(path);
        let cut = path.match_indices('/').nth(TargetId::MAX_PREFIX_DEPTH - 1);
        let path = cut.and_then(|(end, _)| path.get(..end)).unwrap_or(&path);
        Self::Prefix {
            authority: authority.map(lower),
            path: path.trim_end_matches('/').into(),
        }
    }

    pub(crate) fn id(&self) -> TargetId {
        Namer::default().target(self)
    }

    /// Returns the name by which other processes know the target.
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn name(&self) -> String {
        let mut namer = Namer::default();
        namer.target(self);
        namer.into_name()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |authority: &Option<Arc<str>>| authority.clone().unwrap_or_default();
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Route(pattern) => write!(f, "route {pattern}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Resource { authority, path } => write!(f, "resource {}{path}", host(authority)),
            Self::Exact {
                authority,
                path,
                query,
            } => {
                let mark = if query.is_empty() { "" } else { "?" };
                write!(f, "url {}{path}{mark}{query}", host(authority))
            }
            Self::Prefix { authority, path } => write!(f, "prefix {}{path}", host(authority)),
        }
    }
}

/// A target by keyed hash: eight bytes instead of a string in every entry.
///
/// Two targets with one hash are invalidated together, which is too much, never too little. It is
/// made of the target's name, by a hash that is this process's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TargetId(pub(crate) u64);

impl TargetId {
    /// An entry more than this many segments deep is reached by prefixes of this depth at most;
    /// purging a longer prefix purges the one cut to this depth.
    pub(crate) const MAX_PREFIX_DEPTH: usize = 32;

    /// Appends the targets that every entry of a request belongs to.
    ///
    /// These are everything, the host, the route, the resource, the exact URL and each prefix of
    /// the path; tags are the caller's. The URL is the one that the handler sees.
    pub(crate) fn of_request(
        authority: &str,
        raw_path: &str,
        raw_query: Option<&str>,
        route: Option<&str>,
        into: &mut Vec<Self>,
    ) {
        let path = percent::text(raw_path);
        let query = canonical(raw_query.unwrap_or_default());
        let hosts = [Some(authority), None];
        let mut namer = Namer::with_room(authority.len() + path.len() + query.len());
        let common = Common::of(authority, route, &mut namer);
        into.extend([common.everything, common.host]);
        into.extend(common.route);
        into.extend(hosts.map(|host| namer.resource(host, &path)));
        into.extend(hosts.map(|host| namer.exact(host, &path, &query)));
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        for end in ends.take(Self::MAX_PREFIX_DEPTH) {
            match path.get(..end).unwrap_or_default() {
                "" => into.extend(common.roots),
                prefix => into.extend(hosts.map(|host| namer.prefix(host, prefix))),
            }
        }
    }
}

/// The targets that all requests of one authority and route belong to.
#[derive(Clone, Copy, Debug)]
struct Common {
    everything: TargetId,
    host: TargetId,
    route: Option<TargetId>,
    /// Whatever has a path, on the authority and on all of them.
    roots: [TargetId; 2],
}

/// Whose they are.
#[derive(Debug)]
struct Of {
    authority: Box<str>,
    route: Option<Box<str>>,
}

thread_local! {
    /// Those of the last request: the next one is like it more often than not.
    static LAST: RefCell<Option<(Of, Common)>> = const { RefCell::new(None) };
}

impl Common {
    fn of(authority: &str, route: Option<&str>, namer: &mut Namer) -> Self {
        let mut make = || Self {
            everything: namer.everything(),
            host: namer.host(authority),
            route: route.map(|pattern| namer.route(pattern)),
            roots: [Some(authority), None].map(|host| namer.prefix(host, "")),
        };
        let common = LAST.try_with(|last| {
            let mut last = last.try_borrow_mut().ok()?;
            match &*last {
                Some((of, common))
                    if *of.authority == *authority && of.route.as_deref() == route =>
                {
                    Some(*common)
                }
                _ => {
                    let (authority, route) = (authority.into(), route.map(Box::from));
                    let of = Of { authority, route };
                    Some(last.insert((of, make())).1)
                }
            }
        });
        // At the end of a thread there is nothing to remember them in.
        common.ok().flatten().unwrap_or_else(make)
    }
}

fn lower(authority: &str) -> Arc<str> {
    authority.to_ascii_lowercase().into()
}

/// Returns `path` with the slash that every path of a request begins with.
fn rooted(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("/{path}"))
    }
}

/// Returns a raw query as targets compare it: without empty pairs, decoded, sorted.
fn canonical(raw: &str) -> String {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs.map(percent::form_text).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

#[cfg(test)]
mod tests;
