//! Tags with names in braces: `product:{id}`. The rules are those of the library, which reads the
//! same texts when a program starts.
//!
//! The library reads them by code of its own (`policy/template.rs`): a crate of macros can not use the
//! library whose macros it has, and a third crate for these few lines would be one more that everybody
//! builds. Nothing hangs on the two being equal: what passes here is read there once more, and this
//! reader, which also asks that names are such of variables, is the stricter one.

use proc_macro2::Span;
use syn::LitStr;

/// The most bytes a tag has, as in the library.
const MAX_BYTES: usize = 128;

/// A tag as it is written in an attribute.
pub(crate) struct Template {
    pub(crate) literal: LitStr,
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads a tag.
    pub(crate) fn read(literal: LitStr) -> syn::Result<Self> {
        match pieces(&literal.value()) {
            Ok(pieces) => Ok(Self { literal, pieces }),
            Err(reason) => {
                let message = format!("tag `{}` {reason}", literal.value().escape_debug());
                Err(syn::Error::new(literal.span(), message))
            }
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.literal.span()
    }

    /// Returns the names in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Refuses names that are not among those of the path.
    pub(crate) fn check(&self, known: &[String]) -> syn::Result<()> {
        let Some(unknown) = self
            .names()
            .find(|name| !known.iter().any(|known| known == name))
        else {
            return Ok(());
        };
        let known: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
        let message = format!(
            "`{{{unknown}}}` is no parameter of this handler's path; there is {}",
            known.join(", ")
        );
        Err(syn::Error::new(self.span(), message))
    }
}

fn pieces(source: &str) -> Result<Vec<Piece>, &'static str> {
    if source.is_empty() {
        return Err("is empty");
    }
    if source.chars().any(char::is_control) {
        return Err("has a control character; leave it out");
    }
    if source.len() > MAX_BYTES {
        return Err("is longer than 128 bytes; shorten it");
    }
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        text.push_str(before);
        let doubled = ["{{", "}}"]
            .iter()
            .find_map(|pair| brace.strip_prefix(pair));
        if let Some(after) = doubled {
            text.extend(brace.chars().next());
            rest = after;
            continue;
        }
        let (name, after) = brace
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
            .ok_or("has a single brace; write `{name}`, or `{{` and `}}` for braces")?;
        if syn::parse_str::<syn::Ident>(name).is_err() {
            return Err("has no plain name between braces; write `{name}`");
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Name(name.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_braces() {
        let (text, name) = (
            |text: &str| Piece::Text(text.to_owned()),
            |name: &str| Piece::Name(name.to_owned()),
        );
        assert_eq!(pieces("all").unwrap(), [text("all")]);
        assert_eq!(
            pieces("a:{b}{c}").unwrap(),
            [text("a:"), name("b"), name("c")]
        );
        assert_eq!(pieces("{{a}}").unwrap(), [text("{a}")]);
    }

    #[test]
    fn bad_tags_are_refused() {
        for source in [
            "",
            "a\n",
            "a{",
            "a}",
            "{}",
            "{a b}",
            "{*rest}",
            "{a{b}",
            &"x".repeat(129),
        ] {
            assert!(pieces(source).is_err(), "{source}");
        }
    }
}
