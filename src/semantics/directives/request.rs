//! What does the client ask of a cache?

use http::{
    HeaderMap,
    header::{CACHE_CONTROL, PRAGMA},
};

use super::{
    Flag, Flags,
    syntax::{self, Argument, Name},
};
use crate::semantics::{fields, seconds::MAX_SECONDS};

/// The directives of a request (RFC 9111 §5.2.1). Times are in seconds.
///
/// A directive that occurs several times counts with its strictest value, and one whose value can
/// not be read as if it were the strictest of all. Whether any of this is honoured is a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    /// The age above which a response is not wanted.
    pub(crate) max_age: Option<u64>,
    /// How long a response has to stay fresh.
    pub(crate) min_fresh: Option<u64>,
    pub(crate) max_stale: Option<MaxStale>,
    /// How stale a response may be when there is no other because of a failure (RFC 5861 §4).
    pub(crate) stale_if_error: Option<u64>,
    flags: Flags,
}

/// How stale a response may be that the client still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MaxStale {
    /// At most so many seconds.
    Seconds(u64),
    /// However stale.
    Any,
}

impl RequestDirectives {
    /// Returns the directives of all Cache-Control lines of a request.
    ///
    /// `Pragma: no-cache` counts only when there is no Cache-Control (RFC 9111 §5.4).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            for (name, argument) in syntax::directives(headers, &CACHE_CONTROL) {
                all.flags.set(Flag::Present);
                if let Some(name) = name {
                    all.add(name, argument);
                }
            }
        } else if headers.contains_key(PRAGMA)
            && fields::members(headers, &PRAGMA)
                .any(|member| member.eq_ignore_ascii_case(b"no-cache"))
        {
            all.flags.set(Flag::NoCache);
        }
        all
    }

    /// Returns whether a directive without a value is there.
    pub(crate) const fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    fn add(&mut self, name: Name, argument: Argument<'_>) {
        match name {
            Name::MaxAge => super::lower(&mut self.max_age, argument.seconds_or_zero()),
            Name::StaleIfError => {
                super::lower(&mut self.stale_if_error, argument.seconds_or_zero())
            }
            Name::MinFresh => {
                let wanted = argument.seconds().unwrap_or(MAX_SECONDS);
                self.min_fresh = self.min_fresh.max(Some(wanted));
            }
            Name::MaxStale => super::lower(
                &mut self.max_stale,
                match argument {
                    Argument::None => MaxStale::Any,
                    other => MaxStale::Seconds(other.seconds_or_zero()),
                },
            ),
            Name::NoCache => self.flags.set(Flag::NoCache),
            Name::Plain(flag) => self.flags.set(flag),
            Name::SMaxage | Name::StaleWhileRevalidate | Name::Private => {}
        }
    }
}
