//! Which request fields chose this response, and are those of another request the same?
//!
//! Values are compared after the changes that mean nothing (RFC 9111 §4.1, rule 11): lines of one
//! field are combined, blanks around commas dropped, and in the two fields whose grammar is known,
//! `Accept-Encoding` and `Accept-Language`, letter case and the default weight too. Their order is
//! left alone, since handlers are known to prefer what comes first.
//!
//! Not covered: which fields a policy refuses to vary on, and how many variants are kept.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY},
};

use super::fields::{members, split, trim};

/// How many fields a response may vary on and still be stored. Real ones name one to four; each
/// further one multiplies the variants.
const MOST_NAMES: usize = 8;

/// How many bytes the value of one selecting field may have. Browsers send 20 to 200; a longer value
/// would be copied into the key of every variant.
const LONGEST_VALUE: usize = 1024;

/// The length that stands for an absent field: no value is that long.
const ABSENT: u32 = u32::MAX - 1;

/// The request fields that chose a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Vary {
    /// None: it fits every request.
    #[default]
    None,
    /// These, in lower case, sorted, each once.
    Names(Arc<[HeaderName]>),
    /// Something that no request tells: it fits none.
    Any,
}

impl Vary {
    /// Returns what the `Vary` field says, over all its lines. A name that is none counts as `*`.
    pub(crate) fn of(response: &HeaderMap) -> Self {
        let names: Option<Vec<HeaderName>> = members(response, &VARY)
            .map(|name| HeaderName::from_bytes(name).ok().filter(|name| name != "*"))
            .collect();
        match names {
            None => Self::Any,
            Some(names) if names.is_empty() => Self::None,
            Some(mut names) => {
                names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                names.dedup();
                Self::Names(names.into())
            }
        }
    }
}

/// Tells whether a request's selecting fields are too many or too long to make a variant of.
pub(crate) fn too_wide(names: &[HeaderName], request: &HeaderMap) -> bool {
    names.len() > MOST_NAMES || too_long(names, request)
}

/// Tells whether one of a request's selecting fields is too long to make a variant of.
pub(crate) fn too_long(names: &[HeaderName], request: &HeaderMap) -> bool {
    names.iter().any(|name| {
        let lines = request.get_all(name).iter();
        lines.map(|line| line.len() + 1).sum::<usize>() > LONGEST_VALUE
    })
}

/// Appends what `request` says in the fields `names`: per field its length in four bytes and its
/// combined value, or a mark when it is absent.
///
/// For the same names, two requests append the same bytes only if the values mean the same.
///
/// Rule: RFC 9111 §4.1 (rule 11).
pub(crate) fn selecting(names: &[HeaderName], request: &HeaderMap, out: &mut Vec<u8>) {
    for name in names {
        let start = out.len();
        out.extend_from_slice(&ABSENT.to_le_bytes());
        if !request.contains_key(name) {
            continue;
        }
        if name == ACCEPT_ENCODING || name == ACCEPT_LANGUAGE {
            append_preferences(request, name, out);
        } else {
            append_combined(request, name, out);
        }
        let (_, written) = out.split_at_mut(start);
        if let Some((length, value)) = written.split_first_chunk_mut() {
            *length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes();
        }
    }
}

/// Appends the pieces of all lines, parted by a comma and a blank, as RFC 9110 §5.3 combines lines.
///
/// With the blank, a quoted string that spans two lines reads like the same string on one.
fn append_combined(request: &HeaderMap, name: &HeaderName, out: &mut Vec<u8>) {
    let lines = request.get_all(name).iter();
    let pieces = lines.flat_map(|line| split(line.as_bytes(), b','));
    append_joined(pieces, out, |piece, out| out.extend_from_slice(piece));
}

/// Appends a list of names with weights: in lower case, without the weight that is the default.
fn append_preferences(request: &HeaderMap, name: &HeaderName, out: &mut Vec<u8>) {
    append_joined(members(request, name), out, |member, out| {
        let (value, weight) = match member.iter().position(|byte| *byte == b';') {
            Some(at) => member.split_at(at),
            None => (member, Default::default()),
        };
        append_lower(trim(value), out);
        let weight = trim(weight.strip_prefix(b";").unwrap_or_default());
        if !weight.is_empty() && !is_default_weight(weight) {
            out.push(b';');
            append_lower(weight, out);
        }
    });
}

/// Tells whether `weight` is `q=1` in one of its spellings (RFC 9110 §12.4.2).
fn is_default_weight(weight: &[u8]) -> bool {
    matches!(
        weight,
        [b'q' | b'Q', b'=', b'1']
            | [b'q' | b'Q', b'=', b'1', b'.']
            | [b'q' | b'Q', b'=', b'1', b'.', b'0']
            | [b'q' | b'Q', b'=', b'1', b'.', b'0', b'0']
            | [b'q' | b'Q', b'=', b'1', b'.', b'0', b'0', b'0']
    )
}

/// Appends `text` in lower case.
fn append_lower(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(u8::to_ascii_lowercase));
}

/// Appends `pieces` by `append`, parted by a comma and a blank.
fn append_joined<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
    append: impl Fn(&[u8], &mut Vec<u8>),
) {
    for (index, piece) in pieces.enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        append(piece, out);
    }
}

#[cfg(test)]
mod tests;
