//! Reading route patterns, and the parameters of a path by them.
//!
//! The syntax is axum's: `{name}` takes one segment, `{*name}` the rest of the path, `{{` and `}}`
//! stand for braces. Paths are matched raw and the values decoded afterwards, as axum does.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use matchit::InsertError;

use super::percent;
use crate::error::{Error, ErrorKind};

/// One route pattern.
#[derive(Clone)]
pub(crate) struct Pattern {
    text: Arc<str>,
    matcher: matchit::Router<()>,
    names: Box<[Box<str>]>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and how it is written.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let fault = |reason: &str| {
            let message = format!("route pattern `{}` {reason}", text.escape_debug());
            Error::new(ErrorKind::Pattern, message)
        };
        if !text.starts_with('/') {
            return Err(fault("does not start with `/`"));
        }
        if text.contains(['?', '#']) {
            return Err(fault("has a query or fragment; patterns match paths only"));
        }
        for segment in text.split('/') {
            if segment.starts_with(':') {
                return Err(fault(
                    "has a segment with `:`; a parameter is written `{name}`",
                ));
            }
            if segment.starts_with('*') {
                return Err(fault(
                    "has a segment with `*`; the rest is written `{*name}`",
                ));
            }
        }
        let mut matcher = matchit::Router::new();
        matcher
            .insert(text, ())
            .map_err(|error| fault(reason(&error)))?;
        let names = names(text);
        let repeated = names
            .iter()
            .enumerate()
            .find(|(at, name)| names.iter().take(*at).any(|other| other == *name));
        if let Some((_, name)) = repeated {
            return Err(fault(&format!("names the parameter `{name}` twice")));
        }
        Ok(Self {
            text: text.into(),
            matcher,
            names,
        })
    }

    /// Returns the pattern as it was written.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Returns the names of its parameters, in order.
    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Returns the parameters of a raw path; none if the path is not of this pattern.
    pub(crate) fn params<'a>(&'a self, raw_path: &'a str) -> Params<'a> {
        let matched = self.matcher.at(raw_path);
        Params(matched.map_or_else(|_| matchit::Params::new(), |matched| matched.params))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

/// A map by the text of patterns.
///
/// Patterns are written by whoever wrote the application, not by its clients, and are looked up for
/// every request inside a router: their hash need not withstand an attack, but has to be quick.
pub(crate) type PatternMap<K, V> = HashMap<K, V, BuildHasherDefault<PatternHasher>>;

/// FNV-1a, as in draft-eastlake-fnv §4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatternHasher(u64);

impl Default for PatternHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for PatternHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns what is wrong, as the end of a sentence that begins with the pattern.
pub(super) fn reason(error: &InsertError) -> &'static str {
    match error {
        InsertError::Conflict { .. } => "overlaps another pattern",
        InsertError::InvalidParamSegment => "has two parameters in one segment; keep one",
        InsertError::InvalidCatchAll => "has `{*name}` before its end; move it to the end",
        _ => "has a brace that opens no parameter; write `{name}`, or `{{` and `}}` for braces",
    }
}

/// Returns the names of the parameters of a pattern that is known to be well-formed.
fn names(text: &str) -> Box<[Box<str>]> {
    let plain = text.replace("{{", "").replace("}}", "");
    plain
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name.trim_start_matches('*').into())
        .collect()
}

/// Returns a pattern without the names of its parameters: what it matches, and no more.
pub(super) fn unnamed(text: &str) -> String {
    let mut unnamed = String::with_capacity(text.len());
    push_unnamed(text, &mut unnamed);
    unnamed
}

/// Appends a pattern without the names of its parameters.
pub(super) fn push_unnamed(text: &str, into: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        into.push_str(before);
        let end = if brace.starts_with("{{") || brace.starts_with("}}") {
            into.push_str(brace.get(..2).unwrap_or_default());
            2
        } else {
            into.push_str(if brace.starts_with("{*") { "{*}" } else { "{}" });
            brace.find('}').map_or(brace.len(), |end| end + 1)
        };
        rest = brace.get(end..).unwrap_or_default();
    }
    into.push_str(rest);
}

/// The parameters that a path has by its pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params<'a>(matchit::Params<'a, 'a>);

impl<'a> Params<'a> {
    /// Returns the decoded value of a parameter; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0.get(name).map(percent::text)
    }

    /// Returns the names and raw values, in the order of the pattern.
    pub(crate) fn raw(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_raw_and_decoded_afterwards() {
        let pattern = Pattern::parse("/a/{x}/b/{*rest}").unwrap();
        let params = pattern.params("/a/1%2fb/b/c%20d/e");
        assert_eq!(params.get("x").unwrap(), "1/b");
        assert_eq!(params.get("rest").unwrap(), "c d/e");
        assert_eq!(params.get("other"), None);
        let raw: Vec<_> = params.raw().collect();
        assert_eq!(raw, [("x", "1%2fb"), ("rest", "c%20d/e")]);
    }

    #[test]
    fn a_path_of_another_pattern_has_no_parameters() {
        let pattern = Pattern::parse("/a/{x}").unwrap();
        assert_eq!(pattern.params("/a/1/b").raw().count(), 0);
    }

    #[test]
    fn escaped_braces_name_nothing() {
        let pattern = Pattern::parse("/{{x}}/{y}").unwrap();
        assert_eq!(pattern.names(), [Box::from("y")]);
        assert_eq!(pattern.params("/{x}/1").get("y").unwrap(), "1");
    }

    #[test]
    fn patterns_that_match_the_same_are_equal_without_their_names() {
        for (one, other) in [
            ("/a/{x}", "/a/{y}"),
            ("/{a}/b/{*c}", "/{x}/b/{*y}"),
            ("/{{a}}/{b}.json", "/{{a}}/{c}.json"),
        ] {
            assert_eq!(unnamed(one), unnamed(other));
        }
        for (one, other) in [
            ("/a/{x}", "/a/{*x}"),
            ("/{{a}}", "/{{b}}"),
            ("/{{a}}", "/{a}"),
            ("/a/{x}", "/b/{x}"),
        ] {
            assert_ne!(unnamed(one), unnamed(other));
        }
    }

    #[test]
    fn a_bad_pattern_is_refused_with_its_text() {
        for text in [
            "",
            "items",
            "/items/{id",
            "/items/id}",
            "/{}",
            "/{*}",
            "/{*rest}/x",
            "/{a}{b}",
            "/:id",
            "/*rest",
            "/a?b=c",
            "/a#b",
            "/{id}/{id}",
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Pattern);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
