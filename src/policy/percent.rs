//! Percent-decoding, of paths and of form-encoded queries.

use std::borrow::Cow;

/// Returns the bytes of `raw`, percent-decoded. A `%` without two digits stands for itself.
pub(crate) fn bytes(raw: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..)?),
            },
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

/// Returns the bytes of `raw`, a name or value of a form-encoded query, decoded.
pub(crate) fn form_bytes(raw: &str) -> impl Iterator<Item = u8> + '_ {
    // A plus becomes a space before anything is decoded, so that `%2B` stays a plus: the decoded
    // bytes can not be told apart any more.
    let pieces = raw.split('+').enumerate();
    pieces.flat_map(|(at, piece)| (at > 0).then_some(b' ').into_iter().chain(bytes(piece)))
}

/// Returns `raw` percent-decoded; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn text(raw: &str) -> Cow<'_, str> {
    if raw.contains('%') {
        lossy(bytes(raw))
    } else {
        Cow::Borrowed(raw)
    }
}

/// Returns `raw`, a part of a form-encoded query, decoded; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn form_text(raw: &str) -> Cow<'_, str> {
    if raw.contains(['%', '+']) {
        lossy(form_bytes(raw))
    } else {
        Cow::Borrowed(raw)
    }
}

/// Appends `bytes` as they stand in a raw path: as one segment, or as several if `whole`.
pub(crate) fn encode(bytes: &[u8], whole: bool, path: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        let plain = byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:@".contains(byte)
            || whole && *byte == b'/';
        if plain {
            path.push(char::from(*byte));
        } else {
            path.push('%');
            for digit in [byte >> 4, byte & 15] {
                path.extend(
                    DIGITS
                        .get(usize::from(digit))
                        .map(|digit| char::from(*digit)),
                );
            }
        }
    }
}

fn lossy(bytes: impl Iterator<Item = u8>) -> Cow<'static, str> {
    let bytes: Vec<u8> = bytes.collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_of_either_case_are_one_byte() {
        assert_eq!(text("/caf%C3%a9/%31"), "/café/1");
    }

    #[test]
    fn a_percent_sign_without_two_digits_stands_for_itself() {
        for raw in ["%", "%4", "%zz", "100%", "%%"] {
            assert_eq!(text(raw), raw);
        }
        assert_eq!(text("%%41"), "%A");
        assert_eq!(text("%2541"), "%41");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_bytes_and_marked_in_text() {
        assert_eq!(bytes("%ff%00").collect::<Vec<_>>(), [0xff, 0]);
        assert_eq!(text("%ff"), "\u{FFFD}");
    }

    #[test]
    fn only_a_bare_plus_is_a_space() {
        assert_eq!(form_text("a+b%2B%20c+"), "a b+ c ");
        assert_eq!(form_text("+"), " ");
        assert_eq!(text("a+b"), "a+b");
    }
}
