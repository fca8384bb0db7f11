//! Which moment does a date field name, and which of several responses is the newest?
//!
//! The three forms of RFC 9110 §5.6.7 are read, to the letter: the case of names counts, the
//! weekday must be the right one, and the only zone is `GMT`. Everything else is no date at all,
//! which its reader takes for the cautious answer (an unreadable `Expires` is in the past, an
//! unreadable condition is not there). Dates before 1970 are not read. The two-digit years of the
//! oldest form are 1970 to 2069.

use http::HeaderValue;

use super::fields::value;
use crate::clock::Timestamp;

/// The last moment that has a four-digit year, in milliseconds: 31 December 9999, 23:59:59.
const LAST: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// Returns the moment that `value` names, or `None` when it is not a date.
pub(crate) fn parse(value: &HeaderValue) -> Option<Timestamp> {
    let text = value.to_str().ok()?;
    Some(httpdate::parse_http_date(text).ok()?.into())
}

/// Returns `moment` in the form that senders must use, to the second.
pub(crate) fn format(moment: Timestamp) -> HeaderValue {
    value(httpdate::fmt_http_date(moment.min(LAST).to_system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &'static str) -> Option<u64> {
        parse(&HeaderValue::from_static(text)).map(Timestamp::as_millis)
    }

    #[test]
    fn the_three_forms_name_the_same_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(date(text), Some(784_111_777_000), "{text}");
        }
        assert!(date("Thursday, 18-Aug-50 02:01:18 GMT").is_some());
        assert!(date("Thu Aug 18 02:01:18 2050").is_some());
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_no_date() {
        for text in [
            "0",
            "-1",
            "",
            "784111777",
            "Tue, 06 Nov 1994 08:49:37 GMT",
            "SUN, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 NOV 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 gMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov  1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
        let not_text = HeaderValue::from_bytes(b"Sun, 06 N\xf6v 1994 08:49:37 GMT").unwrap();
        assert_eq!(parse(&not_text), None);
    }

    #[test]
    fn a_formatted_moment_reads_back_to_the_second() {
        let moment = Timestamp::from_millis(784_111_777_999);
        assert_eq!(format(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            parse(&format(moment)),
            Some(Timestamp::from_millis(784_111_777_000))
        );
    }

    #[test]
    fn a_moment_beyond_the_last_year_is_written_as_the_last_one() {
        assert_eq!(format(Timestamp::NEVER), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(parse(&format(Timestamp::NEVER)), Some(LAST));
    }
}
