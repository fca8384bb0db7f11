use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

use super::*;
use crate::semantics::{
    samples::{any_headers, directives, headers},
    seconds::MAX_SECONDS,
};

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::of(&headers(&[("cache-control", line)]))
}

fn named(names: &[&'static str]) -> Scope {
    Scope::Fields(
        names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect(),
    )
}

#[test]
fn a_restriction_is_seen_in_letters_of_any_case() {
    assert!(directives("No-Store, max-age=60").has(Flag::NoStore));
    assert_eq!(directives("Private, max-age=60").private, Scope::Whole);
    assert_eq!(directives("MaX-aGe=60").max_age, Some(60));
    assert!(request("NO-STORE").has(Flag::NoStore));
}

#[test]
fn a_restriction_is_seen_on_every_line() {
    let lines = headers(&[
        ("cache-control", "max-age=60"),
        ("cache-control", "ext=\"never closed"),
        ("cache-control", "no-store"),
    ]);
    let all = ResponseDirectives::of(&lines, &[]);
    assert!(all.has(Flag::NoStore));
    assert_eq!(all.max_age, Some(60));
    assert!(RequestDirectives::of(&lines).has(Flag::NoStore));
}

#[test]
fn a_restriction_is_seen_beside_bytes_outside_ascii() {
    for line in [
        "caf\u{e9}, no-store",
        "ext=\"\u{e9}\", no-store",
        "no-store, \u{ff}=\u{ff}",
    ] {
        assert!(directives(line).has(Flag::NoStore), "{line}");
        assert!(request(line).has(Flag::NoStore), "{line}");
    }
}

#[test]
fn a_restriction_is_seen_beside_a_broken_quoted_string() {
    for line in [
        "ext=\"open, no-store",
        "ext=\"open\\\", no-store",
        "a\"b, no-store, c\"d",
        "ext=\"a\"b\"c, no-store, d\"",
        "ext= \"a, no-store, b\"",
    ] {
        assert!(directives(line).has(Flag::NoStore), "{line}");
    }
}

#[test]
fn a_restriction_counts_whatever_argument_it_brings() {
    for line in ["no-store=1", "no-store=\"x\"", "no-store =1", "no-store="] {
        assert!(directives(line).has(Flag::NoStore), "{line}");
    }
    for line in ["public=1", "must-understand=1", "immutable=\"\""] {
        let all = directives(line);
        let permits = [Flag::Public, Flag::MustUnderstand, Flag::Immutable];
        assert!(permits.iter().all(|flag| !all.has(*flag)), "{line}");
    }
}

#[test]
fn a_directive_inside_a_quoted_string_is_none() {
    assert_eq!(
        directives("ext=\"max-age=3600\", max-age=1").max_age,
        Some(1)
    );
    assert_eq!(directives("max-age=1, ext=\"max-age=0\"").max_age, Some(1));
    assert_eq!(directives("ext=\"a, max-age=3600, b\"").max_age, None);
    assert_eq!(directives("ext=\"\\\", max-age=3600\"").max_age, None);
    assert!(!directives("ext=\"a, no-store\"").has(Flag::NoStore));
}

// part 1 rule 13
#[test]
fn a_number_may_be_quoted() {
    assert_eq!(directives("max-age=\"3600\"").max_age, Some(3600));
    assert_eq!(directives("s-maxage=\"0\"").s_maxage, Some(0));
}

// part 1 rule 13
#[test]
fn a_number_that_can_not_be_read_is_zero() {
    for line in [
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=-3600",
        "max-age=1.5",
        "max-age=3600.0",
        "max-age='3600'",
        "max-age=a3600",
        "max-age=3600a",
        "max-age= 3600",
        "max-age =3600",
        "max-age=\"\"",
        "max-age=\"60",
        "max-age=60\"",
        "max-age=\"6\\0\"",
        "max-age=+5",
        "max-age=1 2",
    ] {
        assert_eq!(directives(line).max_age, Some(0), "{line}");
    }
    assert_eq!(directives("stale-if-error=x").stale_if_error, Some(0));
    assert_eq!(
        directives("stale-while-revalidate").stale_while_revalidate,
        Some(0)
    );
}

// part 1 rule 13
#[test]
fn a_number_too_large_counts_as_the_largest() {
    for number in [
        "2147483648",
        "99999999999",
        "99999999999999999999",
        &"9".repeat(65_000),
    ] {
        assert_eq!(
            directives(&format!("max-age={number}")).max_age,
            Some(MAX_SECONDS)
        );
    }
    assert_eq!(directives("max-age=003600").max_age, Some(3600));
}

// part 1 rule 13
#[test]
fn of_several_values_the_smallest_counts() {
    assert_eq!(directives("max-age=1800, max-age=1").max_age, Some(1));
    assert_eq!(directives("max-age=1, max-age=1800").max_age, Some(1));
    assert_eq!(directives("max-age=60, max-age=abc").max_age, Some(0));
    assert_eq!(
        directives("s-maxage=9, max-age=1, s-maxage=8").s_maxage,
        Some(8)
    );
}

// part 1 rule 2
#[test]
fn a_qualified_directive_is_about_the_named_fields_alone() {
    let all = directives("no-cache=\"A, set-cookie\", private=\"x-user\", max-age=60");
    assert_eq!(all.no_cache, named(&["a", "set-cookie"]));
    assert_eq!(all.private, named(&["x-user"]));
    let withheld: Vec<_> = all.withheld_fields().map(HeaderName::as_str).collect();
    assert_eq!(withheld, ["a", "set-cookie", "x-user"]);
    assert_eq!(
        directives("no-cache=a, no-cache=\"b\"").no_cache,
        named(&["a", "b"])
    );
}

// part 1 rule 2
#[test]
fn a_qualified_directive_without_readable_names_is_about_everything() {
    for argument in [
        "",
        "=",
        "=\"\"",
        "=\"a b\"",
        "=\"a,,b\"",
        "=\"a",
        "=\"\u{e9}\"",
        "= \"a\"",
        "=\"\\a\"",
    ] {
        assert_eq!(
            directives(&format!("private{argument}")).private,
            Scope::Whole,
            "{argument}"
        );
    }
    assert_eq!(directives("private=\"a\", private").private, Scope::Whole);
    assert_eq!(directives("private, private=\"a\"").private, Scope::Whole);
}

// part 1 rule 2
#[test]
fn a_qualified_directive_that_names_what_reuse_depends_on_is_about_everything() {
    assert_eq!(directives("private=\"a, Vary\"").private, Scope::Whole);
    assert_eq!(
        directives("no-cache=content-encoding").no_cache,
        Scope::Whole
    );
}

// part 1 rule 26
#[test]
fn no_transform_is_seen_in_requests_and_responses() {
    assert!(directives("max-age=60, No-Transform").has(Flag::NoTransform));
    assert!(request("no-transform").has(Flag::NoTransform));
}

// part 1 rule 27
#[test]
fn unknown_directives_are_ignored() {
    let all = directives("foobar, max-age=60, x=\"y, z\", min-fresh=3, max-stale");
    assert_eq!(all.max_age, Some(60));
    assert!(all.has(Flag::Present));
    assert!(directives("foobar").has(Flag::Present));
    for line in ["", " , ,"] {
        assert_eq!(directives(line), ResponseDirectives::default());
    }
}

// part 1 rule 23
#[test]
fn the_wishes_of_a_client_are_read() {
    let all = request("max-age=10, min-fresh=20, max-stale=30, stale-if-error=40, only-if-cached");
    assert_eq!(all.max_age, Some(10));
    assert_eq!(all.min_fresh, Some(20));
    assert_eq!(all.max_stale, Some(MaxStale::Seconds(30)));
    assert_eq!(all.stale_if_error, Some(40));
    assert!(all.has(Flag::OnlyIfCached) && !all.has(Flag::NoCache));
    assert_eq!(request("max-stale").max_stale, Some(MaxStale::Any));
    assert!(request("no-cache").has(Flag::NoCache));
}

// part 1 rule 23
#[test]
fn of_several_wishes_the_strictest_counts() {
    let all = request("max-age=10, max-age=5, min-fresh=1, min-fresh=3, max-stale, max-stale=7");
    assert_eq!((all.max_age, all.min_fresh), (Some(5), Some(3)));
    assert_eq!(all.max_stale, Some(MaxStale::Seconds(7)));
    let unreadable = request("max-age=x, min-fresh=x, max-stale=x");
    assert_eq!(
        (unreadable.max_age, unreadable.min_fresh),
        (Some(0), Some(MAX_SECONDS))
    );
    assert_eq!(unreadable.max_stale, Some(MaxStale::Seconds(0)));
}

// part 1 rule 24
#[test]
fn pragma_counts_only_without_cache_control() {
    let of = |lines| RequestDirectives::of(&headers(lines));
    assert!(of(&[("pragma", "foo, No-Cache")]).has(Flag::NoCache));
    assert!(!of(&[("pragma", "foo")]).has(Flag::NoCache));
    assert!(!of(&[("pragma", "no-cache"), ("cache-control", "max-stale")]).has(Flag::NoCache));
    assert_eq!(of(&[]), RequestDirectives::default());
}

// part 1 rule 24
#[test]
fn pragma_in_a_response_says_nothing() {
    let pragma = headers(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]);
    assert_eq!(
        ResponseDirectives::of(&pragma, &[]),
        directives("max-age=60")
    );
}

/// Returns `words` as Cache-Control lines: a comma joins each word to the last line unless its
/// mark says to begin a new one, and the mark says how it is written.
fn written(words: &[&str], marks: &[(bool, bool)]) -> HeaderMap {
    let mut lines: Vec<String> = Vec::new();
    for (word, (breaks, shouts)) in words.iter().zip(marks) {
        let word = if *shouts {
            word.to_uppercase()
        } else {
            (*word).to_owned()
        };
        match lines.last_mut() {
            Some(line) if !breaks => *line = format!("{line} \t,{word}"),
            _ => lines.push(word),
        }
    }
    let lines: Vec<_> = lines
        .iter()
        .map(|line| ("cache-control", line.as_str()))
        .collect();
    headers(&lines)
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(headers in any_headers()) {
        let targets = [HeaderName::from_static("cdn-cache-control")];
        let all = ResponseDirectives::of(&headers, &targets);
        let times = [all.max_age, all.s_maxage, all.stale_if_error, all.stale_while_revalidate];
        prop_assert!(times.iter().flatten().all(|time| *time <= MAX_SECONDS));
        let _ = RequestDirectives::of(&headers);
    }

    #[test]
    fn letters_and_line_breaks_make_no_difference(marks in prop::collection::vec(any::<(bool, bool)>(), 8)) {
        let words = [
            "max-age=60", "no-store", "x=\"a, public\"", "private=\"a\"", "no-cache", "s-maxage=\"7\"",
            "must-revalidate", "stale-if-error=9",
        ];
        let plain = directives(&words.join(", "));
        prop_assert_eq!(ResponseDirectives::of(&written(&words, &marks), &[]), plain);
    }

    #[test]
    fn nothing_before_it_on_the_line_hides_a_restriction(before in "[ -~]{0,30}") {
        // A string that is closed properly after the restriction is the one thing that may hold it.
        let line = format!("{before},no-store");
        prop_assert!(directives(&line).has(Flag::NoStore), "{}", line);
    }
}
