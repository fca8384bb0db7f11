use http::{HeaderName, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::semantics::samples::headers;

const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MOMENT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn tag(text: &str) -> EntityTag<'_> {
    EntityTag::parse(text.as_bytes()).unwrap()
}

fn tags(line: &str) -> Vec<&[u8]> {
    EntityTag::list(line.as_bytes())
        .map(EntityTag::as_bytes)
        .collect()
}

/// How a stored 200 with the fields `stored` meets a request with the fields `request`.
fn outcome(stored: &[(&'static str, &str)], request: &[(&'static str, &str)]) -> Condition {
    let stored = headers(stored);
    condition(&headers(request), &Validators::of(&stored), StatusCode::OK)
}

#[test]
fn what_is_not_written_as_a_tag_is_none() {
    for text in [r#""""#, r#"W/"""#, r#""a\""#, "\"\u{fc}\"", " \"a,b\"\t"] {
        assert!(EntityTag::parse(text.as_bytes()).is_some(), "{text}");
    }
    for text in [
        "",
        "abc",
        "\"",
        "\"a",
        "a\"",
        r#"w/"a""#,
        r#"W"a""#,
        r#"W\"a""#,
        r#"W/ "a""#,
        r#""a"b"#,
        r#""a b""#,
        r#""a""b""#,
        "*",
    ] {
        assert!(EntityTag::parse(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn a_list_of_tags_is_read_past_what_is_none() {
    assert_eq!(
        tags(r#" "a" ,, W/"b,c", d, w/"e" , "f\", "g""#),
        [br#""a""# as &[u8], br#"W/"b,c""#, br#""f\""#, br#""g""#]
    );
    assert_eq!(tags("\"a"), [b""; 0]);
}

#[test]
fn weak_tags_are_never_strongly_equal() {
    let pairs = [
        (r#"W/"1""#, r#"W/"1""#, true, false),
        (r#"W/"1""#, r#"W/"2""#, false, false),
        (r#"W/"1""#, r#""1""#, true, false),
        (r#""1""#, r#"W/"1""#, true, false),
        (r#""1""#, r#""1""#, true, true),
        (r#""1""#, r#""2""#, false, false),
    ];
    for (one, other, weakly, strongly) in pairs {
        assert_eq!(tag(one).weakly_equals(tag(other)), weakly, "{one} {other}");
        assert_eq!(
            tag(one).strongly_equals(tag(other)),
            strongly,
            "{one} {other}"
        );
    }
}

#[test]
fn a_date_is_strong_a_second_before_the_response_was_made() {
    let strong = |modified: &str, made: &str| {
        let map = headers(&[("last-modified", modified), ("date", made)]);
        Validators::of(&map).strong_date().is_some()
    };
    assert!(strong(EARLIER, MOMENT));
    assert!(!strong(MOMENT, MOMENT));
    assert!(!strong(LATER, MOMENT));
    assert!(!strong(EARLIER, "0"));
}

/// RFC 9111, rule 16.
#[test]
fn a_tag_that_names_the_stored_response_is_answered_with_not_modified() {
    for stored in [r#""a""#, r#"W/"a""#] {
        for line in [r#""a""#, r#"W/"a""#, "*", " * ", r#""b", W/"c", "a""#] {
            assert_eq!(
                outcome(&[("etag", stored)], &[("if-none-match", line)]),
                Condition::NotModified,
                "{stored} {line}"
            );
        }
    }
    assert_eq!(
        outcome(
            &[("etag", r#""a""#)],
            &[("if-none-match", r#""b""#), ("if-none-match", r#""a""#)]
        ),
        Condition::NotModified
    );
    assert_eq!(
        outcome(&[], &[("if-none-match", "*")]),
        Condition::NotModified
    );
}

/// RFC 9111, rule 16.
#[test]
fn a_tag_that_does_not_name_the_stored_response_is_answered_in_full() {
    for line in [r#""b""#, "a", r#"w/"a""#, "", r#"*, "b""#, r#""a"#] {
        assert_eq!(
            outcome(&[("etag", r#""a""#)], &[("if-none-match", line)]),
            Condition::Passed,
            "{line}"
        );
    }
    for stored in [&[] as &[_], &[("etag", "a")], &[("etag", r#""a""#); 2]] {
        assert_eq!(
            outcome(stored, &[("if-none-match", r#""a""#)]),
            Condition::Passed
        );
    }
}

/// RFC 9111, rule 16.
#[test]
fn a_tag_wins_over_a_date_either_way() {
    let stored = [("etag", r#""a""#), ("last-modified", MOMENT)];
    assert_eq!(
        outcome(
            &stored,
            &[("if-none-match", r#""a""#), ("if-modified-since", EARLIER)]
        ),
        Condition::NotModified
    );
    assert_eq!(
        outcome(
            &stored,
            &[("if-none-match", r#""b""#), ("if-modified-since", LATER)]
        ),
        Condition::Passed
    );
}

/// RFC 9111, rule 16.
#[test]
fn a_date_is_compared_with_the_time_of_change_or_else_of_making() {
    let cases: [(&[(&'static str, &str)], &str, Condition); 9] = [
        (&[("last-modified", MOMENT)], MOMENT, Condition::NotModified),
        (&[("last-modified", MOMENT)], LATER, Condition::NotModified),
        (&[("last-modified", MOMENT)], EARLIER, Condition::Passed),
        (
            &[("last-modified", MOMENT)],
            "Sunday, 06-Nov-94 08:49:37 GMT",
            Condition::NotModified,
        ),
        (
            &[("last-modified", EARLIER), ("date", LATER)],
            MOMENT,
            Condition::NotModified,
        ),
        (&[("date", MOMENT)], MOMENT, Condition::NotModified),
        (&[("date", MOMENT)], EARLIER, Condition::Passed),
        (
            &[("last-modified", "0"), ("date", MOMENT)],
            LATER,
            Condition::NotModified,
        ),
        (&[], LATER, Condition::Passed),
    ];
    for (stored, since, expected) in cases {
        assert_eq!(
            outcome(stored, &[("if-modified-since", since)]),
            expected,
            "{stored:?} {since}"
        );
    }
}

/// RFC 9111, rule 16.
#[test]
fn a_date_that_can_not_be_read_or_comes_twice_is_no_condition() {
    let stored = [("last-modified", MOMENT)];
    assert_eq!(
        outcome(&stored, &[("if-modified-since", "0")]),
        Condition::None
    );
    assert_eq!(
        outcome(&stored, &[("if-modified-since", LATER); 2]),
        Condition::None
    );
    assert_eq!(outcome(&stored, &[]), Condition::None);
}

/// RFC 9111, rule 16.
#[test]
fn conditions_that_are_not_for_caches_go_to_the_handler() {
    for name in ["if-match", "if-unmodified-since"] {
        assert_eq!(
            outcome(
                &[("etag", r#""a""#)],
                &[(name, r#""a""#), ("if-none-match", r#""a""#)]
            ),
            Condition::Forward
        );
    }
}

/// RFC 9111, rule 16.
#[test]
fn a_stored_response_that_is_no_success_meets_no_condition() {
    let stored = headers(&[("etag", r#""a""#)]);
    let request = headers(&[("if-none-match", r#""a""#)]);
    let stored = Validators::of(&stored);
    for (status, expected) in [
        (StatusCode::NOT_FOUND, Condition::None),
        (StatusCode::MOVED_PERMANENTLY, Condition::None),
        (StatusCode::PARTIAL_CONTENT, Condition::NotModified),
    ] {
        assert_eq!(condition(&request, &stored, status), expected);
    }
}

/// RFC 9111, rule 17.
#[test]
fn a_not_modified_response_carries_everything_but_what_describes_the_body() {
    let stored = headers(&[
        ("cache-control", "max-age=9"),
        ("content-length", "5"),
        ("content-location", "/a"),
        ("content-security-policy", "default-src 'self'"),
        ("content-type", "text/plain"),
        ("date", MOMENT),
        ("etag", r#""a""#),
        ("expires", LATER),
        ("last-modified", EARLIER),
        ("vary", "accept"),
        ("x-own", "1"),
        ("x-own", "2"),
    ]);
    let mut expected = stored.clone();
    for name in ["content-length", "content-type", "last-modified"] {
        expected.remove(name);
    }
    assert_eq!(not_modified_fields(&stored), expected);
}

/// RFC 9111, rule 17.
#[test]
fn without_a_tag_a_not_modified_response_carries_the_date_of_change() {
    let stored = headers(&[("last-modified", EARLIER), ("content-type", "text/plain")]);
    assert_eq!(
        not_modified_fields(&stored),
        headers(&[("last-modified", EARLIER)])
    );
}

/// RFC 9111, rule 15.
#[test]
fn the_cache_asks_with_the_tags_of_all_candidates_and_the_date_of_the_newest() {
    let stored = [
        headers(&[("etag", r#""a""#), ("last-modified", MOMENT)]),
        headers(&[("last-modified", LATER)]),
        headers(&[("etag", r#"W/"b""#), ("last-modified", EARLIER)]),
        headers(&[("etag", "c")]),
    ];
    let candidates: Vec<_> = stored.iter().map(Validators::of).collect();
    let mut request = headers(&[
        ("if-match", r#""x""#),
        ("if-modified-since", LATER),
        ("if-none-match", r#""x""#),
        ("if-none-match", r#""y""#),
        ("if-range", r#""x""#),
        ("if-unmodified-since", LATER),
        ("range", "bytes=0-1"),
        ("accept", "text/plain"),
    ]);
    assert!(ask(&mut request, &candidates));
    assert_eq!(
        request,
        headers(&[
            ("if-none-match", r#""a", W/"b""#),
            ("if-modified-since", MOMENT),
            ("accept", "text/plain"),
        ])
    );
}

/// RFC 9111, rule 15.
#[test]
fn a_response_without_readable_validators_can_not_be_asked_about() {
    let stored = headers(&[("etag", "a"), ("last-modified", "0"), ("date", MOMENT)]);
    let mut request = headers(&[("if-none-match", r#""x""#)]);
    assert!(!ask(&mut request, &[Validators::of(&stored)]));
    assert_eq!(request, HeaderMap::new());
}

const NOBODY: [usize; 0] = [];

/// Which of four stored responses a 304 with the fields `answer` confirms.
fn confirmed(answer: &[(&'static str, &str)]) -> Vec<usize> {
    let stored = [
        headers(&[("etag", r#"W/"a""#), ("last-modified", LATER)]),
        headers(&[("etag", r#""a""#), ("last-modified", MOMENT)]),
        headers(&[("etag", r#""a""#), ("last-modified", MOMENT)]),
        headers(&[("last-modified", MOMENT)]),
    ];
    let candidates: Vec<_> = stored.iter().map(Validators::of).collect();
    answered_by(&headers(answer), &candidates)
}

/// RFC 9111, rule 19.
#[test]
fn a_strong_tag_confirms_all_that_have_it_and_no_others() {
    assert_eq!(confirmed(&[("etag", r#""a""#)]), [1, 2]);
    assert_eq!(
        confirmed(&[("etag", r#""b""#), ("last-modified", MOMENT)]),
        NOBODY
    );
}

/// RFC 9111, rule 19.
#[test]
fn a_weak_validator_confirms_the_newest_that_has_it() {
    assert_eq!(confirmed(&[("etag", r#"W/"a""#)]), [0]);
    assert_eq!(confirmed(&[("etag", r#"W/"b""#)]), NOBODY);
    assert_eq!(confirmed(&[("last-modified", MOMENT)]), [1]);
    assert_eq!(confirmed(&[("last-modified", EARLIER)]), NOBODY);
}

/// RFC 9111, rule 19.
#[test]
fn without_a_validator_only_a_single_candidate_is_confirmed() {
    assert_eq!(confirmed(&[]), NOBODY);
    for stored in [headers(&[]), headers(&[("etag", r#""a""#)])] {
        let candidate = [Validators::of(&stored)];
        assert_eq!(answered_by(&HeaderMap::new(), &candidate), [0]);
        assert_eq!(
            answered_by(&headers(&[("etag", r#""a-gzip""#)]), &candidate),
            [0]
        );
    }
    assert_eq!(answered_by(&HeaderMap::new(), &[]), NOBODY);
}

/// RFC 9111, rule 20.
#[test]
fn an_answer_to_head_agrees_when_nothing_it_carries_differs() {
    let stored = headers(&[("etag", r#""a""#), ("last-modified", MOMENT)]);
    let cases: [(&[(&'static str, &str)], Agreement); 10] = [
        (&[], Agreement::Undecided),
        (&[("content-length", "5")], Agreement::Undecided),
        (
            &[("etag", r#""a""#), ("content-length", "5")],
            Agreement::Confirmed,
        ),
        (&[("last-modified", MOMENT)], Agreement::Confirmed),
        (&[("etag", r#"W/"a""#)], Agreement::Differs),
        (
            &[("etag", r#""b""#), ("last-modified", MOMENT)],
            Agreement::Differs,
        ),
        (
            &[("etag", r#""a""#), ("last-modified", LATER)],
            Agreement::Differs,
        ),
        (&[("content-length", "6")], Agreement::Differs),
        (&[("content-length", "x")], Agreement::Differs),
        (
            &[("etag", r#""a""#), ("content-length", "0")],
            Agreement::Differs,
        ),
    ];
    for (head, agrees) in cases {
        assert_eq!(head_agrees(&headers(head), &stored, 5), agrees, "{head:?}");
    }
    let bare = HeaderMap::new();
    assert_eq!(
        head_agrees(&headers(&[("etag", r#""a""#)]), &bare, 5),
        Agreement::Differs
    );
}

/// RFC 9110, rules 6 and 7 of ranges.
#[test]
fn a_form_that_the_cache_made_itself_has_a_weak_tag() {
    for (before, after) in [(r#""a""#, r#"W/"a""#), (r#"W/"a""#, r#"W/"a""#), ("a", "a")] {
        let mut map = headers(&[("etag", before)]);
        weaken_etag(&mut map);
        assert_eq!(map, headers(&[("etag", after)]));
    }
    let mut none = HeaderMap::new();
    weaken_etag(&mut none);
    assert_eq!(none, HeaderMap::new());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(value in prop::collection::vec(32_u8..=255, 0..64)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let map: HeaderMap = ["etag", "last-modified", "date", "if-none-match", "if-modified-since"]
            .into_iter()
            .map(|name| (HeaderName::from_static(name), value.clone()))
            .collect();
        let stored = Validators::of(&map);
        condition(&map, &stored, StatusCode::OK);
        let mut request = map.clone();
        prop_assert_eq!(ask(&mut request, &[stored]), stored.etag.is_some());
    }

    #[test]
    fn a_tag_is_found_in_any_list_of_tags(
        before in "[\\x21\\x23-\\x7e]{0,8}",
        tag in "(W/)?\"[\\x21\\x23-\\x7e]{0,8}\"",
        after in "[\\x21\\x23-\\x7e]{0,8}",
    ) {
        let line = format!("\"{before}\", {tag} ,W/\"{after}\"");
        prop_assert!(tags(&line).contains(&tag.as_bytes()));
    }
}
