use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::semantics::{
    samples::{any_headers, headers},
    seconds::MAX_SECONDS,
};

/// The moment "Sun, 06 Nov 1994 08:49:37 GMT".
const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);
const DATE_NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
/// The date twenty seconds later.
const EXPIRES_SOON: (&str, &str) = ("expires", "Sun, 06 Nov 1994 08:49:57 GMT");

/// Returns the lifetime in seconds of a 200 that came in at [`NOW`].
fn seconds_fresh(lines: &[(&str, &str)]) -> Option<u64> {
    fresh(200, lines, false).map(|lifetime| lifetime.millis / 1000)
}

fn fresh(status: u16, lines: &[(&str, &str)], allow_heuristic: bool) -> Option<Lifetime> {
    let headers = headers(lines);
    let targets = [HeaderName::from_static("cdn-cache-control")];
    lifetime(
        &headers,
        &ResponseDirectives::of(&headers, &targets),
        StatusCode::from_u16(status).unwrap(),
        date_of(&headers, NOW),
        allow_heuristic,
    )
}

/// Returns the age in seconds of a response that came in at [`NOW`] without delay.
fn age(lines: &[(&str, &str)]) -> u64 {
    initial_age(&headers(lines), NOW, NOW) / 1000
}

// part 1 rule 13
#[test]
fn the_lifetime_of_shared_caches_wins_over_max_age_over_expires() {
    let cache_control = |line| ("cache-control", line);
    let lines = |line| [cache_control(line), EXPIRES_SOON, DATE_NOW];
    assert_eq!(
        seconds_fresh(&lines("max-age=1, s-maxage=3600")),
        Some(3600)
    );
    assert_eq!(seconds_fresh(&lines("s-maxage=1, max-age=3600")), Some(1));
    assert_eq!(seconds_fresh(&lines("max-age=0")), Some(0));
    assert_eq!(seconds_fresh(&lines("public")), Some(20));
    assert_eq!(
        seconds_fresh(&[("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT")]),
        None
    );
}

// part 1 rule 13
#[test]
fn an_unreadable_max_age_is_stale_although_expires_is_in_the_future() {
    let lines = [("cache-control", "max-age=abc"), EXPIRES_SOON, DATE_NOW];
    assert_eq!(seconds_fresh(&lines), Some(0));
}

// part 1 rule 13
#[test]
fn an_unreadable_expires_is_in_the_past() {
    for value in [
        "0",
        "-1",
        "",
        "Sun 06 Nov 1994 08:49:57 GMT",
        "Sun, 06 Nov 1994 8:49:57 GMT",
    ] {
        assert_eq!(
            seconds_fresh(&[("expires", value), DATE_NOW]),
            Some(0),
            "{value}"
        );
    }
    let past = "Sun, 06 Nov 1994 08:49:36 GMT";
    assert_eq!(seconds_fresh(&[("expires", past), DATE_NOW]), Some(0));
    let with_max_age = [("cache-control", "max-age=60"), ("expires", "0"), DATE_NOW];
    assert_eq!(seconds_fresh(&with_max_age), Some(60));
}

// part 1 rule 13
#[test]
fn of_several_expires_lines_the_earliest_counts() {
    let later = ("expires", "Sun, 06 Nov 1994 09:49:57 GMT");
    assert_eq!(seconds_fresh(&[EXPIRES_SOON, later, DATE_NOW]), Some(20));
    assert_eq!(seconds_fresh(&[later, EXPIRES_SOON, DATE_NOW]), Some(20));
    assert_eq!(seconds_fresh(&[later, ("expires", "0"), DATE_NOW]), Some(0));
}

// part 1 rule 13
#[test]
fn expires_is_measured_from_date_or_from_arrival_when_that_can_not_be_read() {
    let fast = ("date", "Sun, 06 Nov 1994 08:49:47 GMT");
    assert_eq!(seconds_fresh(&[EXPIRES_SOON, fast]), Some(10));
    assert_eq!(seconds_fresh(&[EXPIRES_SOON, ("date", "foo")]), Some(20));
    assert_eq!(seconds_fresh(&[EXPIRES_SOON]), Some(20));
}

// part 1 rule 13
#[test]
fn a_lifetime_is_guessed_as_a_tenth_of_the_time_since_the_last_change() {
    let modified = |date| [("last-modified", date), DATE_NOW];
    let guess = |date| fresh(200, &modified(date), true);
    let seconds = |seconds: u64| {
        Some(Lifetime {
            millis: seconds * 1000,
            explicit: false,
        })
    };
    assert_eq!(guess("Sun, 06 Nov 1994 08:47:57 GMT"), seconds(10));
    assert_eq!(guess("Sun, 06 Nov 1994 08:49:57 GMT"), seconds(0));
    assert_eq!(guess("Thu, 06 Jan 1994 08:47:57 GMT"), seconds(86_400));
    assert_eq!(guess("yesterday"), None);
}

// part 1 rules 1 and 27
#[test]
fn a_lifetime_is_guessed_only_for_some_statuses_or_if_public() {
    let modified = ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT");
    let guessed = |status, line| fresh(status, &[modified, DATE_NOW, line], true).is_some();
    let silent = ("x", "y");
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert!(guessed(status, silent), "{status}");
    }
    for status in [201, 202, 302, 307, 403, 500, 502, 503, 504, 599] {
        assert!(!guessed(status, silent), "{status}");
        assert!(guessed(status, ("cache-control", "public")), "{status}");
    }
}

// part 6 rule 2
#[test]
fn expires_has_no_say_beside_a_targeted_field() {
    let target = |line| ("cdn-cache-control", line);
    assert_eq!(
        seconds_fresh(&[target("foo"), EXPIRES_SOON, DATE_NOW]),
        None
    );
    assert_eq!(
        seconds_fresh(&[target("max-age=0"), EXPIRES_SOON, DATE_NOW]),
        Some(0)
    );
    let expired = [
        target("max-age=60"),
        ("expires", "0"),
        ("cache-control", "max-age=1"),
    ];
    assert_eq!(seconds_fresh(&expired), Some(60));
}

// part 1 rule 12
#[test]
fn the_age_is_the_larger_of_what_date_says_and_what_age_and_the_delay_say() {
    let earlier = NOW.before(std::time::Duration::from_secs(3));
    let ten_seconds_old = ("date", "Sun, 06 Nov 1994 08:49:27 GMT");
    let after_three = |lines: &[(&str, &str)]| initial_age(&headers(lines), earlier, NOW);
    assert_eq!(after_three(&[ten_seconds_old]), 10_000);
    assert_eq!(after_three(&[ten_seconds_old, ("age", "5")]), 10_000);
    assert_eq!(after_three(&[ten_seconds_old, ("age", "8")]), 11_000);
    assert_eq!(after_three(&[]), 3_000);
}

// part 1 rule 12
#[test]
fn clocks_that_disagree_never_make_an_age_negative() {
    assert_eq!(age(&[("date", "Fri, 06 Nov 2026 08:49:37 GMT")]), 0);
    let later = NOW.after(std::time::Duration::from_secs(9));
    assert_eq!(initial_age(&headers(&[]), later, NOW), 0);
}

// part 1 rule 12
#[test]
fn an_age_that_is_no_number_is_ignored() {
    for value in [
        "abc", "-7200", "-1", "7200.0", "", "\"7200\"", "1e12", "0x10",
    ] {
        assert_eq!(age(&[("age", value)]), 0, "{value}");
    }
}

// part 1 rule 12
#[test]
fn of_several_ages_the_first_counts() {
    for lines in [
        &[("age", "7200, 0")][..],
        &[("age", "7200,0")],
        &[("age", "7200"), ("age", "0")],
        &[("age", "7200;foo=bar")],
    ] {
        assert_eq!(age(lines), 7200, "{lines:?}");
    }
    assert_eq!(age(&[("age", "0, 7200")]), 0);
    assert_eq!(age(&[("age", "0"), ("age", "7200")]), 0);
}

// part 1 rule 12
#[test]
fn an_age_of_any_length_is_large_and_does_not_overflow() {
    for value in [
        "2147483648",
        "1000000000000",
        "18446744073709551615",
        &"9".repeat(65_000),
    ] {
        assert_eq!(age(&[("age", value)]), MAX_SECONDS, "{value}");
    }
    let huge = headers(&[("age", "18446744073709551615")]);
    assert_eq!(
        initial_age(&huge, Timestamp::from_millis(0), Timestamp::NEVER),
        u64::MAX
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reckoning_panic(
        headers in any_headers(), status in 100_u16..1000, moments in any::<[u64; 2]>(),
    ) {
        let [requested, received] = moments.map(Timestamp::from_millis);
        let all = ResponseDirectives::of(&headers, &[]);
        let status = StatusCode::from_u16(status).unwrap();
        let age = initial_age(&headers, requested, received);
        prop_assert!(age >= received.as_millis().saturating_sub(requested.as_millis()));
        let date = date_of(&headers, received);
        if let Some(lifetime) = lifetime(&headers, &all, status, date, false) {
            prop_assert!(lifetime.explicit);
        }
    }
}
