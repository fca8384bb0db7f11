use std::collections::HashSet;

use super::*;

fn reached(target: &Target, authority: &str, path: &str, query: Option<&str>) -> bool {
    let mut ids = Vec::new();
    TargetId::of_request(authority, path, query, Some("/{*path}"), &mut ids);
    ids.contains(&target.id())
}

#[test]
fn a_resource_is_its_path_in_every_spelling_and_with_every_query() {
    for target in [
        Target::resource(None, "/items/1"),
        Target::resource(Some("A.test"), "/items/%31"),
        Target::url("/items/%31"),
        Target::url("items/1"),
        Target::url("http://A.TEST/items/1#top"),
    ] {
        assert!(reached(&target, "a.test", "/items/1", None), "{target}");
        assert!(
            reached(&target, "a.test", "/%69tems/%31", Some("x=1")),
            "{target}"
        );
        assert!(!reached(&target, "a.test", "/items/2", None), "{target}");
        assert!(!reached(&target, "a.test", "/items/1/x", None), "{target}");
    }
    assert!(!reached(
        &Target::resource(Some("b.test"), "/"),
        "a.test",
        "/",
        None
    ));
}

#[test]
fn an_exact_url_is_one_query_in_any_order_and_spelling() {
    for target in [
        Target::url("/q?b=%32&a=1"),
        Target::url("https://A.test/q?a=1&&b=2"),
        Target::exact(None, "/q", Some("%61=1&b=2")),
    ] {
        assert!(
            reached(&target, "a.test", "/q", Some("a=1&b=2")),
            "{target}"
        );
        assert!(
            reached(&target, "a.test", "/%71", Some("b=2&a=1&")),
            "{target}"
        );
        assert!(!reached(&target, "a.test", "/q", Some("a=1")), "{target}");
        assert!(!reached(&target, "a.test", "/q", None), "{target}");
    }
    let bare = Target::exact(Some("a.test"), "/q", None);
    assert!(reached(&bare, "a.test", "/q", None) && reached(&bare, "a.test", "/q", Some("")));
    assert!(!reached(&bare, "a.test", "/q", Some("a=1")));
    assert!(reached(
        &Target::url("http://a.test?x=1"),
        "a.test",
        "/",
        Some("x=1")
    ));
    assert!(reached(
        &Target::url("/go?to=http://b.test/"),
        "a.test",
        "/go",
        Some("to=http://b.test/")
    ));
}

#[test]
fn a_prefix_ends_at_segments_and_reaches_itself() {
    for target in [
        Target::prefix(None, "/a"),
        Target::prefix(Some("A.TEST"), "/%61/"),
    ] {
        assert!(reached(&target, "a.test", "/a", None));
        assert!(reached(&target, "a.test", "/a/", None));
        assert!(reached(&target, "a.test", "/a/b/c", Some("x")));
        assert!(!reached(&target, "a.test", "/ab", None));
        assert!(!reached(&target, "a.test", "/", None));
    }
    assert!(reached(&Target::prefix(None, "/"), "a.test", "/x/y", None));
    assert!(reached(&Target::prefix(None, ""), "a.test", "/", None));
    assert!(!reached(&Target::prefix(None, "/*"), "a.test", "/x", None));
}

#[test]
fn a_prefix_of_any_depth_reaches_what_is_below_it() {
    for depth in [1, 30, 31, 32, 33, 100] {
        let prefix = "/a".repeat(depth);
        let target = Target::prefix(None, &prefix);
        assert!(reached(&target, "a.test", &prefix, None), "{depth}");
        assert!(
            reached(&target, "a.test", &format!("{prefix}/b"), None),
            "{depth}"
        );
    }
}

#[test]
fn everything_hosts_and_routes_reach_their_own() {
    for target in [
        Target::Everything,
        Target::host("A.test:80"),
        Target::route("/{*path}"),
        Target::route("/{*rest}"),
    ] {
        assert!(reached(&target, "a.test:80", "/x", None), "{target}");
    }
    assert!(!reached(&Target::host("a.test"), "a.test:80", "/x", None));
    assert!(!reached(&Target::route("/x"), "a.test:80", "/x", None));
}

#[test]
fn a_tag_that_does_not_fit_is_the_same_on_both_sides() {
    let long = "x\0".repeat(500);
    assert_eq!(Target::tag(&long), Target::tag(&tag::fitted(&long)));
    assert_eq!(Target::tag("a\r\nb"), Target::tag("a\n\nb"));
    assert_ne!(Target::tag("a b"), Target::tag("a,b"));
}

#[test]
fn targets_of_one_text_but_different_kinds_are_different() {
    let targets = [
        Target::Everything,
        Target::host("/a"),
        Target::route("/a"),
        Target::tag("/a"),
        Target::resource(None, "/a"),
        Target::resource(Some(""), "/a"),
        Target::exact(None, "/a", None),
        Target::exact(None, "/a", Some("a")),
        Target::prefix(None, "/a"),
        Target::prefix(Some("a"), "/a"),
    ];
    let ids: HashSet<_> = targets.iter().map(Target::id).collect();
    assert_eq!(ids.len(), targets.len());
}

#[test]
fn ids_of_paths_that_strangers_count_up_are_spread() {
    // 100,000 over 65,536 buckets: ten in one is likely, thirty never happens by chance.
    let mut buckets = std::collections::HashMap::new();
    for count in 0..100_000 {
        let id = Target::resource(None, &format!("/{count}")).id();
        *buckets.entry(id.0 % 65_536).or_insert(0) += 1;
    }
    assert!(buckets.values().all(|load| *load < 30));
}

#[test]
fn names_and_buckets_are_what_other_nodes_know_them_by() {
    for (target, name, bucket_of_it) in [
        (Target::Everything, "*", 45105),
        (Target::host("A.test:80"), "ha.test:80", 26471),
        (Target::route("/items/{id}"), "r/items/{}", 37171),
        (Target::tag("product:7"), "tproduct:7", 54795),
        (Target::resource(None, "/a%20b"), "u/a b", 1277),
        (
            Target::url("http://a.test/a?y=2&x=1"),
            "x2:@a.test/ax=1&y=2",
            40758,
        ),
        (Target::prefix(Some("a.test"), "/a/"), "p@a.test/a", 31117),
    ] {
        assert_eq!(target.name(), name);
        assert_eq!(target.id(), TargetId::of_name(name), "{name}");
        assert_eq!(name::bucket(name), bucket_of_it, "{name}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_long_name_is_as_short_as_a_digest_and_still_the_targets_own() {
    let (one, other) = (
        format!("/{}", "x".repeat(8000)),
        format!("/{}", "y".repeat(8000)),
    );
    let named = |path: &str| Target::resource(None, path);
    assert!(named(&one).name().len() < 50 && named(&one).name().starts_with("u#"));
    assert_ne!(named(&one).name(), named(&other).name());
    assert_eq!(named(&one).id(), TargetId::of_name(&named(&one).name()));
    assert!(reached(&named(&one), "a.test", &one, None));
    assert!(!reached(&named(&one), "a.test", &other, None));
}
