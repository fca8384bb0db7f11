use bytes::Bytes;

use super::*;
use crate::entry::samples::fields;

/// Returns the fields of a hit.
fn hit(fields: &Fields, age: u64) -> HeaderMap {
    fields.answer(
        &age.into(),
        Some(&HeaderValue::from_static("larder; hit")),
        None,
    )
}

/// Returns the fields with what an answer tells beside them.
fn with_told(headers: &HeaderMap, age: &'static str) -> HeaderMap {
    let mut all = headers.clone();
    all.insert("age", HeaderValue::from_static(age));
    all.insert("cache-status", HeaderValue::from_static("larder; hit"));
    all
}

/// Returns the fields of a response of the shop, with `etag`.
fn page(etag: &str) -> HeaderMap {
    fields(&[
        ("etag", etag),
        ("content-type", "application/json"),
        ("set-cookie", "a=1"),
        ("vary", "accept"),
        ("set-cookie", "b=2"),
        ("vary", "accept-language"),
        ("x-empty", ""),
    ])
}

#[test]
fn an_answer_has_the_fields_of_its_handler_and_what_is_told() {
    for (etag, age) in [("\"1\"", "0"), ("\"22\"", "60")] {
        let kept = Fields::new(&page(etag));
        let answer = hit(&kept, age.parse().unwrap());
        assert_eq!(answer, with_told(&page(etag), age));
        assert_eq!(kept.to_map(), page(etag));
    }
}

#[test]
fn responses_that_differ_in_their_validators_share_the_rest() {
    let [one, other] = ["\"1\"", "\"2\""].map(|etag| Fields::new(&page(etag)));
    assert!(Arc::ptr_eq(&one.shape, &other.shape));
    let mut more = page("\"1\"");
    more.append("vary", HeaderValue::from_static("cookie"));
    assert!(!Arc::ptr_eq(&one.shape, &Fields::new(&more).shape));
}

#[test]
fn what_a_handler_says_of_the_moment_is_not_kept() {
    let mut headers = page("\"1\"");
    headers.insert("age", HeaderValue::from_static("9"));
    headers.insert("content-length", HeaderValue::from_static("9"));
    assert_eq!(Fields::new(&headers).to_map(), page("\"1\""));
}

#[test]
fn our_status_follows_the_ones_that_the_handler_passed_on() {
    let mut headers = page("\"1\"");
    headers.append("cache-status", HeaderValue::from_static("origin; hit"));
    headers.append("cache-status", HeaderValue::from_static("edge; fwd=miss"));
    let kept = Fields::new(&headers);
    assert_eq!(
        hit(&kept, 1)["cache-status"],
        "origin; hit, edge; fwd=miss, larder; hit"
    );
    assert_eq!(kept.to_map()["cache-status"], "origin; hit, edge; fwd=miss");
}

#[test]
fn an_answer_to_a_router_tells_the_length() {
    let kept = Fields::new(&page("\"1\""));
    let status = HeaderValue::from_static("larder; hit");
    let answer = kept.answer(&5.into(), Some(&status), Some(&7.into()));
    let mut expected = with_told(&page("\"1\""), "5");
    expected.insert("content-length", HeaderValue::from_static("7"));
    assert_eq!(answer, expected);
}

#[test]
fn a_status_that_is_not_told_is_left_out() {
    let kept = Fields::new(&page("\"1\""));
    let mut expected = with_told(&page("\"1\""), "3");
    expected.remove("cache-status");
    assert_eq!(kept.answer(&3.into(), None, None), expected);
}

#[test]
fn the_compressed_form_has_another_coding_and_a_weak_tag() {
    let compressed = Fields::new(&page("\"1\"")).compressed().to_map();
    let mut expected = page("W/\"1\"");
    expected.insert("content-encoding", HeaderValue::from_static("gzip"));
    assert_eq!(compressed, expected);
}

#[test]
fn a_secret_stays_one_and_is_nobody_elses() {
    let mut secret = HeaderValue::from_static("text/secret");
    secret.set_sensitive(true);
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, secret)]);
    let kept = Fields::new(&headers);
    assert_eq!(kept.own.len(), 1);
    assert!(kept.to_map()["content-type"].is_sensitive());
}

#[test]
fn stored_fields_let_go_of_the_buffer_they_were_read_into() {
    let buffer = Bytes::from(vec![b'a'; 64 * 1024]);
    let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
    let headers = HeaderMap::from_iter([
        (HeaderName::from_static("x-part"), value(..10)),
        (header::CONTENT_TYPE, value(..20)),
    ]);
    let kept = Fields::new(&headers);
    drop(headers);
    assert_eq!(kept.to_map()["x-part"], "aaaaaaaaaa");
    assert!(
        buffer.is_unique(),
        "the stored fields keep the buffer alive"
    );
}

#[test]
fn fields_of_lines_are_those_of_the_map_that_the_lines_make() {
    let lines = |texts: &[(&'static str, &'static str)]| {
        let line = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        texts.iter().map(line).collect::<Vec<_>>()
    };
    let all = [
        ("etag", "\"1\""),
        ("content-type", "text/html"),
        ("vary", "accept"),
        ("x-own", "a"),
        ("vary", "cookie"),
        ("x-own", "b"),
        ("age", "7"),
        ("cache-status", "upstream; hit"),
        ("content-length", "3"),
        ("cache-control", "max-age=60"),
    ];
    // Whatever of these is left out.
    for left_out in 0_u32..1 << all.len() {
        let some = |(at, line)| (left_out & (1_u32 << at) == 0).then_some(line);
        let some: Vec<_> = all.into_iter().enumerate().filter_map(some).collect();
        let lines = lines(&some);
        let (one, other) = (Fields::of_lines(&lines), Fields::new(&to_map(&lines)));
        assert!(Arc::ptr_eq(&one.shape, &other.shape), "{lines:?}");
        assert_eq!(one.own, other.own, "{lines:?}");
    }
}
