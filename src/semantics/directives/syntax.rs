//! Which directives does a Cache-Control field hold, and with which arguments?
//!
//! Read from bytes, since one byte outside ASCII somewhere in a line must not hide the `no-store`
//! beside it.

use http::{HeaderMap, HeaderName};

use super::Flag;
use crate::semantics::{fields, seconds};

/// The directives that mean something to the cache. All others are ignored (RFC 9111 §5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::semantics) enum Name {
    MaxAge,
    SMaxage,
    MinFresh,
    MaxStale,
    StaleWhileRevalidate,
    StaleIfError,
    NoCache,
    Private,
    /// A directive that is there or not, and has no argument.
    Plain(Flag),
}

impl Name {
    const ALL: [(&'static str, Self); 16] = [
        ("max-age", Self::MaxAge),
        ("s-maxage", Self::SMaxage),
        ("min-fresh", Self::MinFresh),
        ("max-stale", Self::MaxStale),
        ("stale-while-revalidate", Self::StaleWhileRevalidate),
        ("stale-if-error", Self::StaleIfError),
        ("no-cache", Self::NoCache),
        ("private", Self::Private),
        ("no-store", Self::Plain(Flag::NoStore)),
        ("no-transform", Self::Plain(Flag::NoTransform)),
        ("only-if-cached", Self::Plain(Flag::OnlyIfCached)),
        ("public", Self::Plain(Flag::Public)),
        ("must-revalidate", Self::Plain(Flag::MustRevalidate)),
        ("proxy-revalidate", Self::Plain(Flag::ProxyRevalidate)),
        ("must-understand", Self::Plain(Flag::MustUnderstand)),
        ("immutable", Self::Plain(Flag::Immutable)),
    ];

    /// Returns the directive called `text`, in letters of any case.
    pub(in crate::semantics) fn of(text: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text))
            .map(|(_, name)| *name)
    }

    /// Returns whether the argument is a number of seconds.
    pub(in crate::semantics) const fn is_number(self) -> bool {
        !matches!(self, Self::NoCache | Self::Private | Self::Plain(_))
    }
}

/// What stands behind the equals sign of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::semantics) enum Argument<'a> {
    /// There is no equals sign.
    None,
    /// A token, or what stands between two quotes. Escapes are left in: no value that the cache
    /// understands needs one, so that a value with an escape is simply not readable.
    Text(&'a [u8]),
    /// Neither a token nor a quoted string.
    Malformed,
}

impl Argument<'_> {
    /// Returns the number of seconds, if it is one.
    pub(super) fn seconds(self) -> Option<u64> {
        match self {
            Self::Text(text) => seconds::parse(text),
            Self::None | Self::Malformed => None,
        }
    }

    /// Returns the number of seconds; zero when it can not be read.
    ///
    /// Caches are encouraged to take a response with an unreadable lifetime for stale (RFC 9111
    /// §4.2.1), and a window that can not be read is no window.
    pub(super) fn seconds_or_zero(self) -> u64 {
        self.seconds().unwrap_or(0)
    }
}

/// Returns the directives of all lines of `field` in order; unknown ones without a name.
pub(super) fn directives<'a>(
    headers: &'a HeaderMap,
    field: &HeaderName,
) -> impl Iterator<Item = (Option<Name>, Argument<'a>)> {
    fields::members(headers, field).flat_map(|member| {
        // A quote that is never closed, or stands where none belongs, holds together what is
        // meant to be several directives; a `no-store` among them must be seen.
        let whole = !member.contains(&b'"') || is_well_quoted(member);
        member
            .split(move |byte| *byte == b',' && !whole)
            .map(|piece| directive(piece.trim_ascii()))
    })
}

fn directive(text: &[u8]) -> (Option<Name>, Argument<'_>) {
    let Some((name, argument)) = split_at_equals(text) else {
        return (Name::of(text), Argument::None);
    };
    let spaced = name.ends_with(b" ") || name.ends_with(b"\t");
    let argument = match argument {
        _ if spaced => Argument::Malformed,
        quoted if quoted.starts_with(b"\"") => {
            unquoted(quoted).map_or(Argument::Malformed, Argument::Text)
        }
        token if token.iter().any(u8::is_ascii_whitespace) => Argument::Malformed,
        token => Argument::Text(token),
    };
    (Name::of(name.trim_ascii_end()), argument)
}

fn is_well_quoted(member: &[u8]) -> bool {
    split_at_equals(member)
        .is_some_and(|(name, argument)| !name.contains(&b'"') && unquoted(argument).is_some())
}

fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Returns what stands between the quotes, if `text` is one quoted string and nothing else.
fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut escaped = false;
    for byte in inner {
        match byte {
            _ if escaped => escaped = false,
            b'"' => return None,
            b'\\' => escaped = true,
            _ => {}
        }
    }
    (!escaped).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_quoted_string_and_nothing_else_is_unquoted() {
        for (text, inner) in [
            (r#""""#, Some("")),
            (r#""a, b""#, Some("a, b")),
            (r#""a\"b\\""#, Some(r#"a\"b\\"#)),
            (r#""a\""#, None),
            (r#"""#, None),
            (r#""a"b""#, None),
            (r#""a";b"#, None),
            ("a", None),
        ] {
            assert_eq!(
                unquoted(text.as_bytes()),
                inner.map(str::as_bytes),
                "{text}"
            );
        }
    }
}
