use proptest::prelude::*;

use super::*;
use crate::semantics::samples::headers;

const MOMENT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// What a GET with this `Range` asks for of ten bytes.
fn asked(range: &str) -> Ranges {
    ranges(
        &Method::GET,
        &headers(&[("range", range)]),
        &HeaderMap::new(),
        10,
    )
}

fn part(part: Range<u64>) -> Ranges {
    Ranges::Parts(vec![part])
}

fn parts(parts: &[Range<u64>]) -> Ranges {
    Ranges::Parts(parts.to_vec())
}

/// Ranges, rule 1.
#[test]
fn only_get_is_answered_in_parts() {
    let request = headers(&[("range", "bytes=0-1")]);
    for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
        assert_eq!(
            ranges(&method, &request, &HeaderMap::new(), 10),
            Ranges::Whole
        );
    }
    assert_eq!(
        ranges(&Method::GET, &HeaderMap::new(), &HeaderMap::new(), 10),
        Ranges::Whole
    );
    assert_eq!(asked("bytes=0-1"), part(0..2));
}

/// Ranges, rule 1.
#[test]
fn an_unknown_unit_or_a_malformed_set_is_ignored() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes 0-1",
        "items=0-1",
        "bytes=a-b",
        "bytes=0",
        "bytes=-",
        "bytes=--1",
        "bytes=2-1",
        "bytes=0-1-2",
        "bytes=0-1,x",
        "bytes=+1-2",
        "bytes=0-1;2-3",
        "bytes=0.5-1",
        "bytes=1 2-3",
        "=0-1",
    ] {
        assert_eq!(asked(range), Ranges::Whole, "{range}");
    }
    let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
    assert_eq!(
        ranges(&Method::GET, &twice, &HeaderMap::new(), 10),
        Ranges::Whole
    );
}

/// Ranges, rule 1.
#[test]
fn a_response_that_says_it_has_no_ranges_is_sent_whole() {
    let request = headers(&[("range", "bytes=0-1")]);
    for (accepted, expected) in [("none", Ranges::Whole), ("bytes", part(0..2))] {
        let stored = headers(&[("accept-ranges", accepted)]);
        assert_eq!(ranges(&Method::GET, &request, &stored, 10), expected);
    }
}

/// Ranges, rules 2 and 5.
#[test]
fn a_range_is_cut_to_what_the_body_has() {
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("Bytes=0-9", 0..10),
        ("bytes=3-", 3..10),
        ("bytes=9-9", 9..10),
        ("bytes=5-100", 5..10),
        ("bytes=5-18446744073709551615", 5..10),
        ("bytes=5-99999999999999999999999", 5..10),
        ("bytes=-1", 9..10),
        ("bytes=-10", 0..10),
        ("bytes=-11", 0..10),
        ("bytes=-99999999999999999999999", 0..10),
        ("bytes= 1-2 ", 1..3),
    ] {
        assert_eq!(asked(range), part(expected), "{range}");
    }
}

/// Ranges, rule 3.
#[test]
fn a_set_of_which_the_body_has_nothing_is_unsatisfiable() {
    for range in [
        "bytes=10-",
        "bytes=10-20",
        "bytes=-0",
        "bytes=99999999999999999999999-",
    ] {
        assert_eq!(asked(range), Ranges::Unsatisfiable, "{range}");
    }
    assert_eq!(asked("bytes=10-, -0"), Ranges::Unsatisfiable);
    assert_eq!(asked("bytes=10-, 0-0"), part(0..1));
    assert_eq!(unsatisfied_range(10), "bytes */10");
}

#[test]
fn an_empty_body_is_sent_whole() {
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        let request = headers(&[("range", range)]);
        assert_eq!(
            ranges(&Method::GET, &request, &HeaderMap::new(), 0),
            Ranges::Whole
        );
    }
}

/// Ranges, rule 2.
#[test]
fn several_parts_keep_the_order_asked_for_and_are_joined_where_they_touch() {
    assert_eq!(asked("bytes=7-8,0-0, 3-4"), parts(&[7..9, 0..1, 3..5]));
    assert_eq!(asked("bytes=0-1,,2-3"), part(0..4));
    assert_eq!(asked("bytes=5-6,0-1,2-5"), part(0..7));
    assert_eq!(asked("bytes=8-8,0-0,2-2,0-2"), parts(&[8..9, 0..3]));
    assert_eq!(asked("bytes=0-,0-,0-,-10"), part(0..10));
}

/// Ranges, rule 2.
#[test]
fn a_set_of_too_many_ranges_is_ignored() {
    let set = |count| format!("bytes={}", vec!["0-0"; count].join(","));
    assert_eq!(asked(&set(16)), part(0..1));
    assert_eq!(asked(&set(17)), Ranges::Whole);
    assert_eq!(asked(&set(2000)), Ranges::Whole);
}

/// Ranges, rule 4.
#[test]
fn parts_are_sent_only_if_those_the_client_has_are_of_the_same_response() {
    let dated = [("last-modified", MOMENT), ("date", LATER)];
    let cases: [(&[(&'static str, &str)], &str, bool); 10] = [
        (&[("etag", r#""a""#)], r#""a""#, true),
        (&[("etag", r#""a""#)], r#""b""#, false),
        (&[("etag", r#""a""#)], r#"W/"a""#, false),
        (&[("etag", r#"W/"a""#)], r#"W/"a""#, false),
        (&[("etag", r#"W/"a""#)], r#""a""#, false),
        (&dated, MOMENT, true),
        (&dated, LATER, false),
        (
            &[("last-modified", MOMENT), ("date", MOMENT)],
            MOMENT,
            false,
        ),
        (&[("last-modified", MOMENT)], MOMENT, false),
        (&[("etag", "a"), ("last-modified", "a")], "a", false),
    ];
    for (stored, held, same) in cases {
        let request = headers(&[("range", "bytes=0-1"), ("if-range", held)]);
        let expected = if same { part(0..2) } else { Ranges::Whole };
        assert_eq!(
            ranges(&Method::GET, &request, &headers(stored), 10),
            expected,
            "{stored:?} {held}"
        );
    }
    let twice = headers(&[
        ("range", "bytes=0-1"),
        ("if-range", r#""a""#),
        ("if-range", r#""a""#),
    ]);
    let stored = headers(&[("etag", r#""a""#)]);
    assert_eq!(ranges(&Method::GET, &twice, &stored, 10), Ranges::Whole);
}

/// Ranges, rules 2 and 8.
#[test]
fn one_part_has_the_fields_of_the_whole_and_its_own_place_and_length() {
    let mut map = headers(&[
        ("cache-control", "max-age=9"),
        ("content-type", "text/plain"),
        ("content-length", "10"),
        ("content-digest", "sha-256=:a:"),
        ("repr-digest", "sha-256=:a:"),
        ("date", MOMENT),
        ("etag", r#""a""#),
        ("vary", "accept"),
    ]);
    become_part(&mut map, &(2..5), 10);
    assert_eq!(
        map,
        headers(&[
            ("cache-control", "max-age=9"),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("content-range", "bytes 2-4/10"),
            ("accept-ranges", "bytes"),
            ("repr-digest", "sha-256=:a:"),
            ("date", MOMENT),
            ("etag", r#""a""#),
            ("vary", "accept"),
        ])
    );
}

/// Ranges, rule 2.
#[test]
fn several_parts_are_framed_with_a_boundary() {
    let body = b"0123456789";
    let text = HeaderValue::from_static("text/plain");
    let framed = Multipart::new(&[0..2, 7..8], 10, Some(&text), 0xfeed);
    let mut map = headers(&[("content-type", "text/plain"), ("content-length", "10")]);
    become_parts(&mut map, &framed);

    let boundary = "0000000000000000000000000000feed";
    let sent = [
        &framed.heads()[0],
        &body[0..2],
        &framed.heads()[1],
        &body[7..8],
        framed.tail(),
    ]
    .concat();
    let expected = format!(
        "--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 7-7/10\r\n\r\n7\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(sent).unwrap(), expected);
    assert_eq!(
        map,
        headers(&[
            (
                "content-type",
                &format!("multipart/byteranges; boundary={boundary}")
            ),
            ("content-length", &expected.len().to_string()),
            ("accept-ranges", "bytes"),
        ])
    );
}

#[test]
fn parts_of_a_body_without_a_type_have_none() {
    let framed = Multipart::new(&[0..1, 2..3], 10, None, 0);
    let head = String::from_utf8(framed.heads()[0].to_vec()).unwrap();
    assert!(
        head.ends_with("0\r\ncontent-range: bytes 0-0/10\r\n\r\n"),
        "{head}"
    );
}

proptest! {
    #[test]
    fn parts_are_inside_the_body_and_apart(
        set in prop::collection::vec(("[0-9]{0,3}", "[0-9]{0,3}"), 1..20),
        length in 0_u64..300,
    ) {
        let set: Vec<String> = set.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let request = headers(&[("range", &format!("bytes={}", set.join(",")))]);
        if let Ranges::Parts(mut parts) = ranges(&Method::GET, &request, &HeaderMap::new(), length) {
            prop_assert!(!parts.is_empty());
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
            parts.sort_by_key(|part| part.start);
            prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn every_byte_asked_for_is_in_a_part_and_no_other(
        set in prop::collection::vec((0_u64..30, 0_u64..10), 1..16),
        length in 1_u64..30,
    ) {
        let texts: Vec<String> = set
            .iter()
            .map(|(first, more)| format!("{first}-{}", first + more))
            .collect();
        let request = headers(&[("range", &format!("bytes={}", texts.join(",")))]);
        let sent = match ranges(&Method::GET, &request, &HeaderMap::new(), length) {
            Ranges::Parts(parts) => parts,
            Ranges::Unsatisfiable => Vec::new(),
            Ranges::Whole => return Err(TestCaseError::fail("a well-formed set is not ignored")),
        };
        for byte in 0..length {
            let asked = set.iter().any(|(first, more)| (*first..=first + more).contains(&byte));
            prop_assert_eq!(sent.iter().any(|part| part.contains(&byte)), asked);
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        text in prop::collection::vec(32_u8..=255, 0..64),
        length: u64,
    ) {
        let text = [b"bytes=".as_slice(), &text].concat();
        let Ok(text) = HeaderValue::from_bytes(&text) else { return Ok(()) };
        let mut request = HeaderMap::new();
        request.insert(RANGE, text.clone());
        ranges(&Method::GET, &request, &HeaderMap::new(), length);
        request.insert(IF_RANGE, text);
        prop_assert_eq!(
            ranges(&Method::GET, &request, &HeaderMap::new(), length),
            Ranges::Whole
        );
    }
}
