//! How many seconds does a number in a field mean?

/// The largest number of seconds that is told apart, 68 years (RFC 9111 §1.2.2).
pub(crate) const MAX_SECONDS: u64 = 1 << 31;

/// Returns the number of seconds that `text` spells in decimal digits, or `None` for anything else.
///
/// A number above [`MAX_SECONDS`], of whatever length, counts as [`MAX_SECONDS`].
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0, |sum: u64, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        Some((sum * 10 + u64::from(digit)).min(MAX_SECONDS))
    })
}

/// Returns `seconds` in milliseconds.
pub(crate) const fn to_millis(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_too_large_count_as_the_largest() {
        for text in ["2147483648", "2147483649", "99999999999999999999"] {
            assert_eq!(parse(text.as_bytes()), Some(MAX_SECONDS), "{text}");
        }
        assert_eq!(parse(&[b'9'; 65_536]), Some(MAX_SECONDS));
        assert_eq!(parse(b"2147483647"), Some(MAX_SECONDS - 1));
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(parse(b"003600"), Some(3600));
        for text in [
            "", "-1", "+1", "1.5", "1 ", " 1", "1a", "a1", "'1'", "0x1", "\u{0661}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
