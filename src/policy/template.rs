//! Texts with route parameters in them: `product:{id}`.
//!
//! A template is read once. Which names it may use is known only when it meets a pattern, so that
//! is asked for separately ([`Template::unknown`]).

use std::borrow::Cow;

use super::Params;
use crate::error::{Error, ErrorKind};

/// The longest template in bytes. The project's own choice: code that needs more has slipped.
const MAX_BYTES: usize = 1024;

/// What takes the places in a template: the parameters of a route, or the fields of a message.
pub(crate) trait Values {
    /// Returns the value of `name`, if there is one.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Values for Params<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)
    }
}

/// A text with places for route parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    source: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Param(Box<str>),
}

impl Template {
    /// Reads a template; `{{` and `}}` stand for braces.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and how it is written.
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        let fault = |reason: &str| {
            let message = format!("template `{}` {reason}", source.escape_debug());
            Error::new(ErrorKind::Tag, message)
        };
        if source.len() > MAX_BYTES {
            return Err(fault(&format!("is longer than {MAX_BYTES} bytes")));
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            text.push_str(before);
            let escaped = ["{{", "}}"]
                .iter()
                .find_map(|pair| brace.strip_prefix(pair));
            if let Some(after) = escaped {
                text.extend(brace.chars().next());
                rest = after;
                continue;
            }
            let name = brace
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'));
            let (name, after) = name.ok_or_else(|| {
                fault("has a single brace; write `{name}`, or `{{` and `}}` for braces")
            })?;
            if name.is_empty() || name.contains(['{', '*']) {
                return Err(fault("has no plain name between braces; write `{name}`"));
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text).into()));
            }
            pieces.push(Piece::Param(name.into()));
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        Ok(Self {
            source: source.into(),
            pieces: pieces.into(),
        })
    }

    /// Returns the template as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether it has places.
    pub(crate) fn is_plain(&self) -> bool {
        self.pieces
            .iter()
            .all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Returns an error for each parameter that is not in `names`, those of the route.
    pub(crate) fn unknown<'a>(&'a self, names: &'a [Box<str>]) -> impl Iterator<Item = Error> + 'a {
        self.pieces.iter().filter_map(move |piece| {
            let Piece::Param(name) = piece else {
                return None;
            };
            if names.contains(name) {
                return None;
            }
            let known = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            let message = format!(
                "template `{}` uses `{{{name}}}`, which the route does not have (it has: {known})",
                self.source
            );
            Some(Error::new(ErrorKind::Tag, message))
        })
    }

    /// Returns the text with the values in their places; `None` if one is missing.
    pub(crate) fn expand(&self, values: &impl Values) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Param(name) => out.push_str(&values.value(name)?),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Pattern;

    fn expanded(source: &str, path: &str) -> Option<String> {
        let pattern = Pattern::parse("/shops/{shop}/{*rest}").unwrap();
        Template::parse(source)
            .unwrap()
            .expand(&pattern.params(path))
    }

    #[test]
    fn parameters_take_their_places_decoded() {
        assert_eq!(expanded("all", "/shops/1/a").unwrap(), "all");
        assert_eq!(expanded("{shop}", "/shops/1/a").unwrap(), "1");
        assert_eq!(
            expanded("s:{shop}/{rest}!", "/shops/%31%2f/a/b").unwrap(),
            "s:1//a/b!"
        );
    }

    #[test]
    fn braces_in_a_value_are_not_replaced_again() {
        assert_eq!(expanded("s:{shop}", "/shops/{rest}/a").unwrap(), "s:{rest}");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(expanded("{{{shop}}}", "/shops/1/a").unwrap(), "{1}");
        assert_eq!(expanded("{{shop}}", "/shops/1/a").unwrap(), "{shop}");
    }

    #[test]
    fn a_parameter_that_is_missing_gives_nothing() {
        assert_eq!(expanded("s:{id}", "/shops/1/a"), None);
        assert_eq!(expanded("s:{shop}", "/elsewhere"), None);
    }

    #[test]
    fn a_bad_template_is_refused_with_its_text() {
        let long = "x".repeat(MAX_BYTES + 1);
        for source in [
            "a{", "a}", "{id", "id}", "{}", "{*rest}", "{a{b}", "{a}}", "{{a}", &long,
        ] {
            let error = Template::parse(source).unwrap_err().to_string();
            assert!(error.contains(source), "{error}");
        }
    }

    #[test]
    fn unknown_parameters_are_named_beside_those_there_are() {
        let names = [Box::from("shop"), Box::from("rest")];
        let template = Template::parse("{shop}:{id}").unwrap();
        let faults: Vec<_> = template
            .unknown(&names)
            .map(|fault| fault.to_string())
            .collect();
        assert_eq!(
            faults,
            [
                "template `{shop}:{id}` uses `{id}`, which the route does not have (it has: shop, rest)"
            ]
        );
    }
}
