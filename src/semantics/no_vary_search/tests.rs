use proptest::prelude::*;

use super::*;
use crate::semantics::samples::headers;

fn of(line: &str) -> Option<NoVarySearch> {
    NoVarySearch::of(&headers(&[("no-vary-search", line)]))
}

fn canonical(line: &str, query: Option<&str>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    of(line).unwrap().canonical(query, &mut out);
    out.split_off(6)
}

/// Tells whether two queries are the same to a response that says `line`.
fn same(line: &str, one: &str, other: &str) -> bool {
    canonical(line, Some(one)) == canonical(line, Some(other))
}

/// No-Vary-Search, rule 1.
#[test]
fn what_breaks_the_rules_or_changes_nothing_is_the_default() {
    for line in [
        "",
        "unknown-key",
        "key-order=\"x\"",
        "key-order=()",
        "key-order=?0",
        "params=\"x\"",
        "params=1",
        "params=(x)",
        "params=(\"a\" 1)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(x)",
        "params, except=\"x\"",
        "params, except=?1",
        "except=(\"x\")",
        "except=()",
        "params=?0",
        "params=()",
        "key-order, except=()",
        "params, Key-Order",
        "params,",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
    assert_eq!(NoVarySearch::of(&HeaderMap::new()), None);
}

/// No-Vary-Search, rule 1.
#[test]
fn the_forms_of_the_field_say_what_is_ignored() {
    let said = |ignored, any_order| Some(NoVarySearch { ignored, any_order });
    let x = || vec![b"x".to_vec()];
    assert_eq!(of("params"), said(Ignored::AllBut(vec![]), false));
    assert_eq!(of("params=?1"), of("params"));
    assert_eq!(of("params;a, new=1"), of("params"));
    assert_eq!(of("params=(\"x\";a)"), said(Ignored::Only(x()), false));
    assert_eq!(
        of("params, except=(\"x\")"),
        said(Ignored::AllBut(x()), false)
    );
    assert_eq!(of("key-order"), said(Ignored::Only(vec![]), true));
    assert_eq!(
        of("params=(\"x\"), key-order"),
        said(Ignored::Only(x()), true)
    );
    let lines = headers(&[
        ("no-vary-search", "params"),
        ("no-vary-search", "key-order"),
    ]);
    assert_eq!(NoVarySearch::of(&lines), of("params, key-order"));
}

/// No-Vary-Search, rule 2.
#[test]
fn names_are_decoded_before_they_are_compared() {
    let line = "params=(\"%C3%A9+%E6%B0%97\")";
    for query in ["é 気=1", "é+気=2", "%C3%A9%20気=3", "%c3%a9+%e6%b0%97=4"] {
        assert!(same(line, query, ""), "{query}");
    }
    assert!(!same(line, "é気=1", ""));
}

/// No-Vary-Search, rule 3.
#[test]
fn only_names_and_values_that_make_a_difference_are_compared() {
    for (line, one, other, expected) in [
        ("params=(\"a\")", "a=1&b=2", "b=2&a=3&a", true),
        ("params=(\"a\")", "b=1", "b=2", false),
        ("params=(\"a\")", "b=1&c=2", "c=2&b=1", false),
        ("params=(\"a\")", "A=1", "", false),
        ("params", "a=1", "b=2", true),
        ("params, except=(\"b\")", "a=1&b=2", "b=2", true),
        ("params, except=(\"b\")", "b=1", "b=2", false),
        ("key-order", "a=1&b=2", "b=2&a=1", true),
        ("key-order", "a=1&a=2", "a=2&a=1", false),
        ("key-order", "b=3&a=1&a=2", "a=1&b=3&a=2", true),
        ("key-order", "a=1", "a=2", false),
        ("key-order", "a=1&b=2", "a=1", false),
        ("key-order", "a=1%26b=2", "a=1&b=2", false),
        ("key-order", "a=b=c", "a=b%3Dc", true),
        ("key-order", "a=%41+%zz%4", "a=A%20%25zz%254", true),
        ("key-order", "a=%ff", "a=%fe", false),
    ] {
        assert_eq!(same(line, one, other), expected, "{line}: {one} | {other}");
    }
}

/// No-Vary-Search, rule 4.
#[test]
fn an_absent_value_is_an_empty_one() {
    assert!(same("key-order", "a", "a="));
    assert!(same("key-order", "a=b&&&c", "a=b&c="));
    assert_eq!(
        canonical("key-order", None),
        canonical("key-order", Some(""))
    );
    assert!(!same("key-order", "=", ""));
}

/// No-Vary-Search, rule 5.
#[test]
fn the_same_queries_are_told_apart_as_each_response_says() {
    assert!(same("params=(\"a\")", "a=1", "a=2"));
    assert!(!same("params=(\"b\")", "a=1", "a=2"));
}

proptest! {
    #[test]
    fn any_field_and_query_are_read_without_harm(line in "[ -~]{0,40}", query in ".{0,40}") {
        if let Some(said) = of(&line) {
            said.canonical(Some(&query), &mut Vec::new());
        }
    }

    #[test]
    fn ignored_parameters_can_be_put_anywhere(
        kept in prop::collection::vec("[abc]=[12%+]{0,3}", 0..5),
        ignored in prop::collection::vec((0_usize..6, "(x|%78)=[12]{0,2}"), 0..5),
    ) {
        let mut padded = kept.clone();
        for (at, parameter) in ignored {
            padded.insert(at.min(padded.len()), parameter);
        }
        for line in ["params=(\"x\")", "params, except=(\"a\" \"b\" \"c\")"] {
            prop_assert!(same(line, &kept.join("&"), &padded.join("&")));
        }
    }

    #[test]
    fn without_order_queries_are_the_same_exactly_if_each_name_has_the_same_values(
        one in prop::collection::vec(("[ab]", "[12]"), 0..5),
        other in prop::collection::vec(("[ab]", "[12]"), 0..5),
    ) {
        let query = |parameters: &[(String, String)]| -> String {
            let parameters = parameters.iter().map(|(name, value)| format!("{name}={value}"));
            parameters.collect::<Vec<_>>().join("&")
        };
        let values = |parameters: &[(String, String)], name: &str| -> Vec<String> {
            let named = parameters.iter().filter(|parameter| parameter.0 == name);
            named.map(|parameter| parameter.1.clone()).collect()
        };
        let expected = ["a", "b"].iter().all(|name| values(&one, name) == values(&other, name));
        prop_assert_eq!(same("key-order", &query(&one), &query(&other)), expected);
    }
}
