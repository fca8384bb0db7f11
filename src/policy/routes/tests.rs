use super::*;
use crate::policy::{Target, mins, secs};

fn fault(routes: Routes) -> String {
    routes.build().unwrap_err().to_string()
}

fn hits(table: &RouteTable, method: &Method, path: &str) -> Vec<Target> {
    let route = table.by_path(path).unwrap();
    let params = route.params(path);
    route
        .invalidates(method)
        .flat_map(|one| one.targets(&params))
        .collect()
}

#[test]
fn a_route_is_found_by_path_and_by_pattern() {
    let table = Routes::new()
        .get("/products/{id}", Policy::ttl(mins(5)))
        .get("/products/new", Policy::ttl(mins(1)))
        .get("/files/{*path}", Policy::ttl(mins(2)))
        .build()
        .unwrap();
    let by_path = |path| Some(table.by_path(path)?.pattern().text().to_string());
    assert_eq!(by_path("/products/7").unwrap(), "/products/{id}");
    assert_eq!(by_path("/products/new").unwrap(), "/products/new");
    assert_eq!(by_path("/files/..%2f..%2fme").unwrap(), "/files/{*path}");
    for path in [
        "/products",
        "/products/",
        "/products/7/x",
        "/%70roducts/7",
        "//products/7",
        "*",
        "",
    ] {
        assert_eq!(by_path(path), None, "{path}");
    }
    let route = table.by_pattern("/products/{id}").unwrap();
    assert_eq!(route.policy().unwrap().ttl, Some(mins(5)));
    assert!(table.by_pattern("/products/{other}").is_none());
    assert!(table.by_pattern("/products/7").is_none());
}

#[test]
fn a_mutation_invalidates_what_was_declared_for_its_method_and_for_all() {
    let table = Routes::new()
        .on("PUT /a/{id}", Invalidate::tags(["put:{id}"]))
        .on("* /a/{id}", Invalidate::tags(["any"]))
        .on("PURGE-ALL /a/{id}", Invalidate::tags(["own"]))
        .build()
        .unwrap();
    let own = Method::from_bytes(b"PURGE-ALL").unwrap();
    assert_eq!(
        hits(&table, &Method::PUT, "/a/1"),
        [Target::tag("put:1"), Target::tag("any")]
    );
    assert_eq!(hits(&table, &Method::DELETE, "/a/1"), [Target::tag("any")]);
    assert_eq!(
        hits(&table, &own, "/a/1"),
        [Target::tag("any"), Target::tag("own")]
    );
    assert_eq!(hits(&table, &Method::GET, "/a/1"), []);
    assert_eq!(hits(&table, &Method::OPTIONS, "/a/1"), []);
}

#[test]
fn every_bad_pattern_setting_and_template_is_named_at_once() {
    let error = fault(
        Routes::new()
            .get("/a/{", Policy::new())
            .get("/b/{x}", Policy::new().jitter(7.0).tag("{y}"))
            .get("/c", Policy::new())
            .get("/c", Policy::new())
            .on("PUT /d/{x}", Invalidate::tags(["{z}"]))
            .on("e", Invalidate::new()),
    );
    for says in [
        "`/a/{`",
        "`/b/{x}`: jitter 7",
        "`{y}`",
        "`/c` is declared twice",
        "`{z}`",
        "`e` has no method",
    ] {
        assert!(error.contains(says), "{error:?} does not say {says:?}");
    }
    assert_eq!(error.lines().count(), 6);
}

#[test]
fn patterns_that_overlap_are_both_named() {
    let error = fault(
        Routes::new()
            .get("/a/{x}", Policy::new())
            .get("/a/{y}", Policy::new()),
    );
    assert!(
        error.contains("/a/{x}") && error.contains("/a/{y}"),
        "{error}"
    );
}

#[test]
fn a_mutation_is_declared_once_by_a_method_that_changes_something() {
    let on = |route| Routes::new().on(route, Invalidate::new());
    for (route, says) in [
        ("GET /a", "changes nothing"),
        ("put /a", "capitals"),
        ("(x) /a", "bad method"),
        ("PUT a", "start with `/`"),
        ("/a", "has no method"),
    ] {
        let error = fault(on(route));
        assert!(error.contains(says), "{error}");
    }
    assert!(fault(on("PUT /a").on("PUT /a", Invalidate::new())).contains("declared twice"));
    assert!(
        on("PUT /a")
            .on("* /a", Invalidate::new())
            .get("/a", Policy::new())
            .build()
            .is_ok()
    );
}

#[test]
fn a_base_is_laid_under_every_policy_and_nothing_else_changes() {
    let table = Routes::new()
        .get("/a/{x}", Policy::ttl(mins(5)))
        .get("/a/b", Policy::new())
        .on("PUT /c", Invalidate::tags(["c"]))
        .build()
        .unwrap()
        .over(&Policy::ttl(secs(1)).jitter(0.1), |pattern| {
            Arc::new(RouteState::new(pattern))
        });
    let policy = |path| table.by_path(path).unwrap().policy().cloned();
    assert_eq!(policy("/a/1").unwrap().ttl, Some(mins(5)));
    assert_eq!(policy("/a/1").unwrap().jitter, Some(0.1));
    assert_eq!(policy("/a/b").unwrap().ttl, Some(secs(1)));
    assert!(policy("/c").is_none());
    assert_eq!(hits(&table, &Method::PUT, "/c"), [Target::tag("c")]);
}
