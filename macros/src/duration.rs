//! How long is `1h30m`?

use syn::LitStr;

/// The longest lifetime and window, in milliseconds: what `Policy` allows.
const WEEK: u64 = 7 * 24 * 3600 * 1000;

/// A duration in milliseconds, as it is written in an attribute.
pub(crate) struct Duration {
    pub(crate) millis: u64,
    pub(crate) literal: LitStr,
}

impl Duration {
    /// Reads a duration.
    pub(crate) fn read(literal: LitStr) -> syn::Result<Self> {
        let text = literal.value();
        let Some(millis) = millis(&text) else {
            let message = format!(
                "`{}` is no duration; write a number and one of `ms`, `s`, `m`, `h`, `d`, such as \
                 \"90s\" or \"1h30m\"",
                text.escape_debug()
            );
            return Err(syn::Error::new(literal.span(), message));
        };
        if millis > WEEK {
            let message = format!("`{text}` is above 7 days; shorten it");
            return Err(syn::Error::new(literal.span(), message));
        }
        Ok(Self { millis, literal })
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|letter: char| letter.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let scale = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, wanted) in [
            ("0s", 0),
            ("250ms", 250),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("7d", WEEK),
        ] {
            assert_eq!(millis(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-1s",
            "1.5h",
            "5x",
            "s5",
            "5M",
            "99999999999999999999s",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
