use proptest::prelude::*;

use super::*;
use crate::semantics::samples::headers;

fn list(lines: &[&str]) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(|line| ("list", *line)).collect();
    members(&headers(&lines), &HeaderName::from_static("list"))
        .map(|member| String::from_utf8(member.to_vec()).unwrap())
        .collect()
}

#[test]
fn a_list_is_read_over_all_its_lines() {
    assert_eq!(list(&["a, b", "", " ,c\t,, ", "d"]), ["a", "b", "c", "d"]);
}

#[test]
fn a_comma_inside_quotes_does_not_separate() {
    assert_eq!(
        list(&[r#"a="x, y\", z", b, "\\", c"#]),
        [r#"a="x, y\", z""#, "b", r#""\\""#, "c"]
    );
}

#[test]
fn a_field_that_is_allowed_once_counts_only_when_it_comes_once() {
    let map = headers(&[("a", "1"), ("b", "1"), ("b", "1")]);
    assert!(single(&map, &HeaderName::from_static("a")).is_some());
    assert!(single(&map, &HeaderName::from_static("b")).is_none());
    assert!(single(&map, &HeaderName::from_static("c")).is_none());
}

#[test]
fn a_structured_field_is_read_over_all_its_lines_or_not_at_all() {
    let read = |lines: &[(&str, &str)]| {
        let name = HeaderName::from_static("list");
        structured::<sfv::List>(&headers(lines), &name).map(|list| list.len())
    };
    assert_eq!(read(&[("list", "a, (b c)"), ("list", "\"d, e\"")]), Some(3));
    assert_eq!(read(&[("list", "")]), Some(0));
    assert_eq!(read(&[("list", "a"), ("list", "b,")]), None);
    assert_eq!(read(&[("list", "a"), ("list", "")]), None);
    assert_eq!(read(&[]), None);
}

#[test]
fn a_quote_that_is_never_closed_hides_nothing() {
    assert_eq!(
        list(&[r#"a="x, no-store"#, r#"b", c"#]),
        [r#"a="x"#, "no-store", r#"b""#, "c"]
    );
    assert_eq!(list(&[r#""a", "\", b"#]), [r#""a""#, r#""\""#, "b"]);
}

#[test]
fn fields_of_the_connection_and_of_proxies_are_removed() {
    let mut map = headers(&[
        ("connection", "a, B"),
        ("connection", "close, \"c, d"),
        ("a", "1"),
        ("b", "1"),
        ("b", "2"),
        ("d", "1"),
        ("e", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("proxy-authorization", "x"),
        ("trailer", "grpc-status"),
    ]);
    strip_connection(&mut map);
    assert_eq!(map, headers(&[("e", "1"), ("trailer", "grpc-status")]));
}

#[test]
fn a_length_is_one_plain_number_however_often_it_is_said() {
    let length = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("content-length", *line)).collect();
        content_length(&headers(&lines))
    };
    assert_eq!(length(&["42"]), Some(42));
    assert_eq!(length(&["042"]), Some(42));
    assert_eq!(length(&["42, 42", "42"]), Some(42));
    assert_eq!(length(&["18446744073709551615"]), Some(u64::MAX));
    let refused: [&[&str]; 10] = [
        &[],
        &[""],
        &["42", "43"],
        &["42,"],
        &["+42"],
        &["-1"],
        &["4 2"],
        &["4.2"],
        &["0x2a"],
        &["18446744073709551616"],
    ];
    for lines in refused {
        assert_eq!(length(lines), None, "{lines:?}");
    }
}

/// RFC 9111, rule 19.
#[test]
fn a_newer_response_replaces_all_fields_but_those_of_the_bytes_and_the_connection() {
    let mut stored = headers(&[
        ("cache-control", "max-age=1"),
        ("content-type", "text/plain"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-md5", "a"),
        ("etag", "\"a\""),
        ("link", "</a>"),
        ("link", "</b>"),
        ("kept", "1"),
        ("age", "50"),
        ("date", "then"),
    ]);
    let newer = headers(&[
        ("cache-control", "max-age=2"),
        ("content-type", "text/html"),
        ("content-length", "0"),
        ("content-encoding", "br"),
        ("content-md5", "b"),
        ("content-range", "bytes 0-1/2"),
        ("etag", "\"b\""),
        ("link", "</c>"),
        ("link", "</d>"),
        ("added", "1"),
        ("connection", "mine"),
        ("mine", "1"),
        ("date", "now"),
    ]);
    freshen(&mut stored, &newer);
    assert_eq!(
        stored,
        headers(&[
            ("cache-control", "max-age=2"),
            ("content-type", "text/html"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("content-md5", "a"),
            ("etag", "\"a\""),
            ("link", "</c>"),
            ("link", "</d>"),
            ("kept", "1"),
            ("added", "1"),
            ("date", "now"),
        ])
    );
}

#[test]
fn age_and_date_of_the_past_do_not_outlive_a_validation() {
    let mut stored = headers(&[("age", "50"), ("date", "then"), ("kept", "1")]);
    freshen(&mut stored, &HeaderMap::new());
    assert_eq!(stored, headers(&[("kept", "1")]));
}

#[test]
fn a_member_is_added_once() {
    let vary = HeaderName::from_static("vary");
    let mut map = headers(&[("vary", "Origin")]);
    add_member(&mut map, &vary, "accept-encoding");
    add_member(&mut map, &vary, "origin");
    assert_eq!(
        map,
        headers(&[("vary", "Origin"), ("vary", "accept-encoding")])
    );
}

proptest! {
    #[test]
    fn the_pieces_of_any_line_joined_again_are_the_line(line: Vec<u8>) {
        let pieces: Vec<&[u8]> = split(&line, b',').collect();
        let blank = |byte: &u8| !matches!(byte, b' ' | b'\t');
        let joined: Vec<u8> = pieces.join(&b',').into_iter().filter(|b| blank(b)).collect();
        let line: Vec<u8> = line.into_iter().filter(|b| blank(b)).collect();
        prop_assert_eq!(joined, line);
    }
}
