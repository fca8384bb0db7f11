//! What does the handler say about keeping its answer?

use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, CONTENT_ENCODING, VARY},
};

use super::{
    Flag, Flags,
    syntax::{self, Argument, Name},
};

/// The directives of a response (RFC 9111 §5.2.2, RFC 5861, RFC 8246). Times are in seconds.
///
/// A time that can not be read is zero, which makes the response stale. A directive that occurs
/// several times counts with its smallest value: RFC 9111 §4.2.1 lets a cache take the first one or
/// take the response for stale, and at every age the smallest agrees with one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    pub(crate) max_age: Option<u64>,
    /// The lifetime in shared caches, which larder is.
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    /// What may not be reused before the handler has confirmed it.
    pub(crate) no_cache: Scope,
    /// What is meant for one user alone.
    pub(crate) private: Scope,
    flags: Flags,
}

/// What of a response `no-cache` or `private` is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing: the directive is not there.
    #[default]
    No,
    /// The response as a whole.
    Whole,
    /// These fields alone.
    Fields(Vec<HeaderName>),
}

impl ResponseDirectives {
    /// Returns the directives of all Cache-Control lines.
    pub(in crate::semantics) fn of_cache_control(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for (name, argument) in syntax::directives(headers, &CACHE_CONTROL) {
            all.add(name, argument);
        }
        all
    }

    /// Returns whether a directive without a value is there.
    pub(crate) const fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// Returns the fields that must not be kept, named by a qualified `no-cache` or `private`.
    ///
    /// A cache may keep a field of a qualified `no-cache` and have it confirmed before each use;
    /// leaving it out is the same to the client, without the round.
    pub(crate) fn withheld_fields(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.no_cache, &self.private]
            .into_iter()
            .flat_map(|scope| match scope {
                Scope::Fields(names) => names.as_slice(),
                Scope::No | Scope::Whole => &[],
            })
    }

    pub(in crate::semantics) fn add(&mut self, name: Option<Name>, argument: Argument<'_>) {
        self.flags.set(Flag::Present);
        match name {
            Some(Name::MaxAge) => super::lower(&mut self.max_age, argument.seconds_or_zero()),
            Some(Name::SMaxage) => super::lower(&mut self.s_maxage, argument.seconds_or_zero()),
            Some(Name::StaleWhileRevalidate) => {
                super::lower(&mut self.stale_while_revalidate, argument.seconds_or_zero());
            }
            Some(Name::StaleIfError) => {
                super::lower(&mut self.stale_if_error, argument.seconds_or_zero());
            }
            Some(Name::NoCache) => self.no_cache.widen(argument),
            Some(Name::Private) => self.private.widen(argument),
            Some(Name::Plain(flag)) => self.add_flag(flag, argument),
            Some(Name::MinFresh | Name::MaxStale) | None => {}
        }
    }

    /// A restriction counts whatever argument it brings; a permission counts only as it is written
    /// in its definition.
    fn add_flag(&mut self, flag: Flag, argument: Argument<'_>) {
        let permits = matches!(flag, Flag::Public | Flag::MustUnderstand | Flag::Immutable);
        if !permits || argument == Argument::None {
            self.flags.set(flag);
        }
    }

    /// Notes that a targeted field decided, not Cache-Control.
    pub(in crate::semantics) fn set_targeted(&mut self, no_transform: bool) {
        self.flags.set(Flag::Targeted);
        if no_transform {
            self.flags.set(Flag::NoTransform);
        }
    }
}

impl Scope {
    /// Adds an occurrence of the directive; one whose fields can not be read is about everything.
    fn widen(&mut self, argument: Argument<'_>) {
        let more = match argument {
            Argument::Text(text) => Self::listed(text),
            Argument::None | Argument::Malformed => Self::Whole,
        };
        *self = match (std::mem::take(self), more) {
            (Self::No, more) => more,
            (Self::Fields(mut names), Self::Fields(more)) => {
                names.extend(more);
                Self::Fields(names)
            }
            _ => Self::Whole,
        };
    }

    /// Without these two fields the rest is of no use, or is served to the wrong client.
    fn listed(text: &[u8]) -> Self {
        text.split(|byte| *byte == b',')
            .map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .map(|name| name.filter(|name| *name != VARY && *name != CONTENT_ENCODING))
            .collect::<Option<Vec<_>>>()
            .map_or(Self::Whole, Self::Fields)
    }
}
