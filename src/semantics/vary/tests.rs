use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::semantics::samples::headers;

fn vary(lines: &[&str]) -> Vary {
    let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
    Vary::of(&headers(&lines))
}

fn names(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().copied().map(HeaderName::from_static).collect()
}

/// What a request with these lines of `name` is selected by.
fn selected(name: &'static str, lines: &[&str]) -> Vec<u8> {
    let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    let mut out = b"before".to_vec();
    selecting(&names(&[name]), &headers(&lines), &mut out);
    out.split_off(6)
}

#[test]
fn names_are_lowered_sorted_and_kept_once_over_all_lines() {
    assert_eq!(
        vary(&["Origin, accept", "ACCEPT,,", ""]),
        Vary::Names(names(&["accept", "origin"]).into())
    );
    assert_eq!(vary(&[]), Vary::None);
    assert_eq!(vary(&["", ","]), Vary::None);
}

#[test]
fn a_star_or_what_is_no_name_fits_no_request() {
    let refused: [&[&str]; 8] = [
        &["*"],
        &["*, *"],
        &["*", "*"],
        &[", *"],
        &["", "*"],
        &["*, foo"],
        &["foo", "bar, *"],
        &["foo bar"],
    ];
    for lines in refused {
        assert_eq!(vary(lines), Vary::Any, "{lines:?}");
    }
}

/// RFC 9111, rule 11.
#[test]
fn absent_matches_only_absent() {
    assert_ne!(selected("foo", &[]), selected("foo", &[""]));
    assert_ne!(
        selected("accept-encoding", &[]),
        selected("accept-encoding", &[""])
    );
    assert_eq!(selected("foo", &[]), selected("foo", &[]));
}

/// RFC 9111, rule 11.
#[test]
fn lines_are_combined_and_blanks_around_commas_mean_nothing() {
    for lines in [&["1, 2"] as &[&str], &["1", "2"], &[" 1 ,\t2 "], &["1,2"]] {
        assert_eq!(selected("foo", lines), selected("foo", &["1, 2"]));
    }
    for lines in [
        &["1 2"] as &[&str],
        &["2, 1"],
        &["1,, 2"],
        &["1"],
        &["1,2,"],
    ] {
        assert_ne!(selected("foo", lines), selected("foo", &["1, 2"]));
    }
    assert_ne!(selected("foo", &["a"]), selected("foo", &["A"]));
    assert_ne!(selected("foo", &["a b"]), selected("foo", &["a  b"]));
}

#[test]
fn blanks_inside_quotes_are_kept() {
    assert_ne!(
        selected("foo", &[r#""a, b""#]),
        selected("foo", &[r#""a,b""#])
    );
    assert_eq!(
        selected("foo", &[r#""a"#, r#"b""#]),
        selected("foo", &[r#""a, b""#])
    );
}

/// RFC 9111, rule 11.
#[test]
fn letter_case_and_the_default_weight_of_preferences_mean_nothing() {
    for name in ["accept-encoding", "accept-language"] {
        let plain = selected(name, &["en, de;q=0.5"]);
        for lines in [
            &["eN;q=1.000", "De ; Q=0.5,"] as &[&str],
            &["en;q=1. ,de; q=0.5"],
            &[",,en;Q=1,\tDE;q=0.5"],
        ] {
            assert_eq!(selected(name, lines), plain, "{lines:?}");
        }
        for lines in [
            &["de;q=0.5, en"] as &[&str],
            &["en, de"],
            &["en;q=0, de;q=0.5"],
            &["en;q=1.0000, de;q=0.5"],
            &["en;q=10, de;q=0.5"],
        ] {
            assert_ne!(selected(name, lines), plain, "{lines:?}");
        }
    }
}

#[test]
fn a_comma_in_one_field_is_not_the_border_to_the_next() {
    let of = |lines: &[(&'static str, &str)]| {
        let mut out = Vec::new();
        selecting(&names(&["x-a", "x-b"]), &headers(lines), &mut out);
        out
    };
    let all = [
        of(&[("x-a", "a, x-b=b")]),
        of(&[("x-a", "a"), ("x-b", "b")]),
        of(&[("x-b", "a, x-b=b")]),
        of(&[("x-a", "a"), ("x-b", "")]),
        of(&[("x-a", "a")]),
        of(&[]),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one));
    }
}

#[test]
fn too_many_or_too_long_fields_make_no_variant() {
    let nine = names(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    assert!(too_wide(&nine, &HeaderMap::new()));
    assert!(!too_wide(&nine[1..], &HeaderMap::new()));
    let long = "x".repeat(1023);
    assert!(!too_wide(&nine[..1], &headers(&[("a", &long)])));
    assert!(too_wide(&nine[..1], &headers(&[("a", &long), ("a", "")])));
    assert!(!too_wide(
        &nine[..1],
        &headers(&[("a", &long), ("b", &long)])
    ));
}

/// What the lines of an unknown field mean: nothing, or the pieces between commas.
fn meaning(lines: &[String]) -> Option<Vec<String>> {
    (!lines.is_empty()).then(|| {
        let combined = lines.join(",");
        combined
            .split(',')
            .map(|piece| piece.trim().to_owned())
            .collect()
    })
}

proptest! {
    #[test]
    fn requests_are_told_apart_exactly_by_what_their_fields_mean(
        one in prop::array::uniform2(prop::collection::vec("[ab, \t]{0,4}", 0..3)),
        other in prop::array::uniform2(prop::collection::vec("[ab, \t]{0,4}", 0..3)),
    ) {
        let bytes = |fields: &[Vec<String>; 2]| {
            let lines: Vec<_> = ["x-a", "x-b"]
                .into_iter()
                .zip(fields)
                .flat_map(|(name, lines)| lines.iter().map(move |line| (name, line.as_str())))
                .collect();
            let mut out = Vec::new();
            selecting(&names(&["x-a", "x-b"]), &headers(&lines), &mut out);
            out
        };
        let same = one.each_ref().map(|lines| meaning(lines))
            == other.each_ref().map(|lines| meaning(lines));
        prop_assert_eq!(bytes(&one) == bytes(&other), same);
    }

    #[test]
    fn any_bytes_are_read_without_harm(value in prop::collection::vec(32_u8..=255, 0..64)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let mut map = HeaderMap::new();
        for name in [VARY, ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
            map.append(name, value.clone());
        }
        Vary::of(&map);
        selecting(&[VARY, ACCEPT_ENCODING, ACCEPT_LANGUAGE], &map, &mut Vec::new());
    }
}
