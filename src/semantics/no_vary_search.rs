//! Which parts of the query make no difference to a response?
//!
//! A handler says so in `No-Vary-Search` (draft-ietf-httpbis-no-vary-search-05). The stored
//! response's word counts, not the next request's. Not covered: the other parts of the URI, which
//! must be equal, and which stored response is asked: the newest one of a path is enough.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, InnerList, ListEntry};

use super::fields::structured;

/// The field that says it.
static NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What a response says about the query, when it says anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoVarySearch {
    ignored: Ignored,
    any_order: bool,
}

/// The names of the parameters that make no difference. Names are decoded, as those of a query are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ignored {
    /// These.
    Only(Vec<Vec<u8>>),
    /// All except these.
    AllBut(Vec<Vec<u8>>),
}

impl NoVarySearch {
    /// Returns what the response says; `None` when it says nothing, says it wrong, or says what
    /// holds anyway. Then queries are the same only if they are equal as they stand.
    ///
    /// Rule: No-Vary-Search §4.1.
    pub(crate) fn of(response: &HeaderMap) -> Option<Self> {
        let members: Dictionary = structured(response, &NO_VARY_SEARCH)?;
        let any_order = match members.get("key-order") {
            Some(entry) => boolean(entry)?,
            None => false,
        };
        let except = match members.get("except") {
            Some(ListEntry::InnerList(list)) => Some(names(list)?),
            Some(ListEntry::Item(_)) => return None,
            None => None,
        };
        let ignored = match (members.get("params"), except) {
            (Some(ListEntry::InnerList(list)), None) => Ignored::Only(names(list)?),
            (Some(entry), except) if boolean(entry)? => Ignored::AllBut(except.unwrap_or_default()),
            (_, None) => Ignored::Only(Vec::new()),
            (_, Some(_)) => return None,
        };
        let says_something = any_order || ignored != Ignored::Only(Vec::new());
        says_something.then_some(Self { ignored, any_order })
    }

    /// Appends what is left of a query once all that makes no difference is gone: per parameter its
    /// name and its value, each with its length in four bytes.
    ///
    /// Two queries append the same bytes exactly if they are the same by this rule. Bytes that are
    /// no UTF-8 are kept apart, though a browser would not.
    ///
    /// Rule: No-Vary-Search §5.
    pub(crate) fn canonical(&self, query: Option<&str>, out: &mut Vec<u8>) {
        let mut parameters: Vec<_> = query
            .unwrap_or_default()
            .split('&')
            .filter(|parameter| !parameter.is_empty())
            .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .filter(|(name, _)| !self.ignores(name))
            .collect();
        if self.any_order {
            parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        for part in parameters.iter().flat_map(|(name, value)| [name, value]) {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(part);
        }
    }

    fn ignores(&self, name: &[u8]) -> bool {
        let is_in = |names: &[Vec<u8>]| names.iter().any(|listed| listed == name);
        match &self.ignored {
            Ignored::Only(names) => is_in(names),
            Ignored::AllBut(names) => !is_in(names),
        }
    }
}

fn boolean(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(item) => item.bare_item.as_boolean(),
        ListEntry::InnerList(_) => None,
    }
}

/// Returns the names in a list of strings.
fn names(list: &InnerList) -> Option<Vec<Vec<u8>>> {
    let items = list.items.iter();
    items
        .map(|item| match &item.bare_item {
            BareItem::String(name) => Some(decoded(name.as_str()).into_owned()),
            _ => None,
        })
        .collect()
}

/// Returns `text` with `+` read as a blank and `%` with two digits as the byte they spell, as HTML
/// forms encode it. A `%` without its digits stands for itself.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            (byte, _) => decoded.push(*byte),
        }
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests;
