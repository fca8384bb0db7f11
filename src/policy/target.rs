//! What can be invalidated: one kind of name for pages, tags, prefixes, routes and hosts.
//!
//! There are no sets from a tag to its keys. An entry carries the targets it belongs to, an
//! invalidation stamps a target, and a read compares the two; so a purge costs the same whatever the
//! number of entries, and there is no index that could leak.
//!
//! Paths are compared percent-decoded: `/items/%31` and `/items/1` are one resource to whoever
//! invalidates it, although they are two keys.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
};

/// Something that can be invalidated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Every entry of the namespace.
    Everything,
    /// Every entry of one authority, as it stands in the key (`example.com:8080`).
    Host(Arc<str>),
    /// Every entry of one route pattern, as it was declared (`/items/{id}`).
    Route(Arc<str>),
    /// Every entry that carries the tag.
    Tag(Arc<str>),
    /// One path with all its queries and variants; on every authority if none is given.
    Resource {
        /// The authority, or none for all of them.
        authority: Option<Arc<str>>,
        /// The path, percent-decoded.
        path: Arc<str>,
    },
    /// A path and all below it, at segment boundaries: `/a` covers `/a` and `/a/b`, not `/ab`.
    Prefix {
        /// The authority, or none for all of them.
        authority: Option<Arc<str>>,
        /// The path, percent-decoded, without a slash at its end.
        path: Arc<str>,
    },
}

impl Target {
    /// Returns the target of a tag.
    #[must_use]
    pub fn tag(tag: &str) -> Self {
        Self::Tag(tag.into())
    }

    /// Returns the target of a route pattern.
    #[must_use]
    pub fn route(pattern: &str) -> Self {
        Self::Route(pattern.into())
    }

    /// Returns the target of an authority.
    #[must_use]
    pub fn host(authority: &str) -> Self {
        Self::Host(authority.to_ascii_lowercase().into())
    }

    /// Returns the target of a raw path with all its queries and variants.
    #[must_use]
    pub fn resource(authority: Option<&str>, raw_path: &str) -> Self {
        Self::Resource {
            authority: authority.map(Into::into),
            path: decoded(raw_path).into(),
        }
    }

    /// Returns the target of a raw path and everything below it.
    #[must_use]
    pub fn prefix(authority: Option<&str>, raw_path: &str) -> Self {
        let path = decoded(raw_path);
        let cut = path.match_indices('/').nth(TargetId::MAX_PREFIX_DEPTH - 1);
        let path = cut.and_then(|(end, _)| path.get(..end)).unwrap_or(&path);
        Self::Prefix {
            authority: authority.map(Into::into),
            path: path.trim_end_matches('/').into(),
        }
    }

    pub(crate) fn id(&self) -> TargetId {
        match self {
            Self::Everything => TargetId::of('*', "", ""),
            Self::Host(host) => TargetId::of('h', host, ""),
            Self::Route(pattern) => TargetId::of('r', pattern, ""),
            Self::Tag(tag) => TargetId::of('t', tag, ""),
            Self::Resource {
                authority: Some(authority),
                path,
            } => TargetId::of('u', path, authority),
            Self::Resource {
                authority: None,
                path,
            } => TargetId::of('U', path, ""),
            Self::Prefix {
                authority: Some(authority),
                path,
            } => TargetId::of('p', path, authority),
            Self::Prefix {
                authority: None,
                path,
            } => TargetId::of('P', path, ""),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Route(pattern) => write!(f, "route {pattern}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Resource { authority, path } => {
                write!(f, "url {}{path}", authority.as_deref().unwrap_or_default())
            }
            Self::Prefix { authority, path } => {
                write!(
                    f,
                    "prefix {}{path}",
                    authority.as_deref().unwrap_or_default()
                )
            }
        }
    }
}

/// A target by keyed hash: eight bytes instead of a string in every entry.
///
/// Two targets with one hash are invalidated together, which is too much, never too little. The
/// hash is keyed by a random number of this process, since strangers choose the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TargetId(pub(crate) u64);

impl TargetId {
    /// An entry more than this many segments deep is reached by prefixes of this depth at most;
    /// purging a longer prefix purges the one cut to this depth.
    pub(crate) const MAX_PREFIX_DEPTH: usize = 32;

    fn of(kind: char, text: &str, authority: &str) -> Self {
        static HASHER: OnceLock<RandomState> = OnceLock::new();
        Self(
            HASHER
                .get_or_init(RandomState::new)
                .hash_one((kind, text, authority)),
        )
    }

    /// Appends the targets that every entry of `raw_path` on `authority` belongs to.
    ///
    /// These are everything, the host, the route, the resource, and each prefix of the path; tags
    /// are the caller's.
    pub(crate) fn of_request(
        authority: &str,
        raw_path: &str,
        route: Option<&str>,
        into: &mut Vec<Self>,
    ) {
        let path = decoded(raw_path);
        into.push(Self::of('*', "", ""));
        into.push(Self::of('h', authority, ""));
        into.extend(route.map(|pattern| Self::of('r', pattern, "")));
        into.push(Self::of('u', &path, authority));
        into.push(Self::of('U', &path, ""));
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        for end in ends.take(Self::MAX_PREFIX_DEPTH) {
            let prefix = path.get(..end).unwrap_or_default();
            into.push(Self::of('p', prefix, authority));
            into.push(Self::of('P', prefix, ""));
        }
    }
}

/// Returns `raw` percent-decoded; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn decoded(raw: &str) -> Cow<'_, str> {
    if !raw.contains('%') {
        return Cow::Borrowed(raw);
    }
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}
