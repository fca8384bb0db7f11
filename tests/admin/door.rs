//! Attacks on the admin routes: without the token, from another site, with texts that mean more.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Desk, TOKEN, text};

/// Every route and a way to call it.
fn routes() -> Vec<(String, String)> {
    let document = include_str!("../../src/admin/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase(), path.replace("{id}", "0")));
        }
    }
    routes
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    let tokens = ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", TOKEN];
    let mut routes = routes();
    routes.push(("GET".to_owned(), "/nowhere".to_owned()));
    routes.push(("PURGE".to_owned(), "/purge".to_owned()));
    for (method, path) in routes {
        for token in tokens {
            let request = Request::builder()
                .method(&*method)
                .uri(format!("/admin/cache{path}"))
                .header("authorization", token)
                .header("x-larder-admin", "1")
                .header("content-type", "application/json");
            let request = request.body(Body::from(r#"{"all":true}"#)).unwrap();
            let response = desk.send(request).await;
            assert_eq!(response.status(), 401, "{method} {path} by `{token}`");
            assert_eq!(
                response.headers()["www-authenticate"],
                "Bearer realm=\"larder\""
            );
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(text(response).await.contains("error"));
        }
    }
    assert!(desk.visit("GET", "/items/1").await.contains("hit"));
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let desk = Desk::new().await;
    for (method, path) in routes() {
        let wrong = if method == "GET" { "DELETE" } else { "GET" };
        let request = Request::builder()
            .method(wrong)
            .uri(format!("/admin/cache{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("x-larder-admin", "1");
        let response = desk.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    let source = include_str!("../../src/admin/router.rs");
    let lines = source.lines().map(str::trim);
    let built = lines.filter(|line| line.starts_with(".route(\"/"));
    assert_eq!(built.count(), routes().len());
}

#[tokio::test]
async fn a_signed_in_browser_can_not_be_made_to_change_anything() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    let call = |method: &str, kind: &str| {
        let authorized = format!("Bearer {TOKEN}");
        let request = Request::builder().method(method).uri("/admin/cache/purge");
        request
            .header("authorization", authorized)
            .header("content-type", kind)
    };
    // A link, a form, and a script that may send what needs no permission.
    for (method, kind, status) in [
        ("GET", "", 405),
        ("POST", "application/x-www-form-urlencoded", 403),
        ("POST", "text/plain", 403),
        ("POST", "application/json", 403),
    ] {
        let request = call(method, kind)
            .body(Body::from(r#"{"all":true}"#))
            .unwrap();
        assert_eq!(desk.send(request).await.status(), status, "{method} {kind}");
    }
    for (value, status) in [("0", 403), ("true", 403), ("1", 415)] {
        let request = call("POST", "text/plain").header("x-larder-admin", value);
        let request = request.body(Body::from(r#"{"all":true}"#)).unwrap();
        assert_eq!(desk.send(request).await.status(), status, "{value}");
    }
    assert!(desk.visit("GET", "/items/1").await.contains("hit"));
    assert_eq!(desk.larder.statistics().invalidations(), 0);
}

#[tokio::test]
async fn a_pattern_in_a_prefix_is_a_text_like_any_other() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    for prefix in [
        "*",
        "",
        "items",
        "[a-z]*",
        "\\",
        "{}",
        "shop.test",
        "/x\r\n",
    ] {
        assert_eq!(
            desk.refused("/purge", json!({ "prefix": prefix })).await,
            400
        );
    }
    for prefix in [
        "/*",
        "/i*",
        "/item?",
        "/[a-z]*",
        "/\\",
        "/item",
        "http://shop.test/i*",
    ] {
        desk.change("/purge", json!({ "prefix": prefix })).await;
        assert!(
            desk.visit("GET", "/items/1").await.contains("hit"),
            "{prefix}"
        );
    }
    desk.change("/purge", json!({ "prefix": "/items" })).await;
    assert!(!desk.visit("GET", "/items/1").await.contains("hit"));
}

#[tokio::test]
async fn a_tag_that_no_entry_can_carry_is_refused() {
    let desk = Desk::new().await;
    let long = "a".repeat(1 << 17);
    for tag in ["", "a\r\nb", "a\0b", "\u{1}shop.test\u{1}group", &*long] {
        assert_eq!(desk.refused("/purge", json!({ "tag": tag })).await, 400);
    }
    for tag in ["a,b", "a b", "*", "item:*"] {
        desk.visit("GET", "/items/1").await;
        desk.change("/purge", json!({ "tag": tag })).await;
        assert!(desk.visit("GET", "/items/1").await.contains("hit"), "{tag}");
    }
}

#[tokio::test]
async fn what_is_not_understood_changes_nothing() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    for order in [
        json!({}),
        json!({ "all": false }),
        json!({ "all": true, "tag": "x" }),
        json!({ "tag": [] }),
        json!({ "url": "items/1" }),
        json!({ "host": "shop.test/items" }),
        json!({ "route": "items" }),
        json!({ "tag": vec!["x"; 1001] }),
        json!({ "key": "no id" }),
    ] {
        assert_eq!(desk.refused("/purge", order.clone()).await, 400, "{order}");
    }
    assert_eq!(desk.refused("/purge", json!({ "al": true })).await, 422);
    assert_eq!(desk.refused("/purge", json!({ "all": "yes" })).await, 422);
    assert_eq!(desk.refused("/purge", json!({ "key": "12ab" })).await, 404);
    let many = vec!["a".repeat(1000); 300];
    assert_eq!(desk.refused("/purge", json!({ "tag": many })).await, 413);
    assert!(desk.visit("GET", "/items/1").await.contains("hit"));
    assert_eq!(desk.larder.statistics().invalidations(), 0);
}

#[tokio::test]
async fn nothing_that_tells_users_apart_is_told() {
    use larder::{CacheLayer, Larder, Policy, Routes, admin, mins};
    use tower::ServiceExt;

    let larder = Larder::builder().build().await.unwrap();
    let policy = Policy::ttl(mins(5))
        .key_cookies(["sid"])
        .vary(["x-tenant"])
        .key_by_identity(|request| Some(request.headers.get("x-tenant")?.to_str().ok()?.into()));
    let routes = Routes::new().get("/me", policy).build().unwrap();
    let app = axum::Router::new()
        .route("/me", axum::routing::get(|| async { "me" }))
        .layer(CacheLayer::new(&larder).routes(routes))
        .nest("/cache", admin::router(&larder, admin::Auth::insecure()));
    let me = Request::get("/me")
        .header("host", "shop.test")
        .header("cookie", "sid=hush")
        .header("x-tenant", "hush");
    let me = app.clone().oneshot(me.body(Body::empty()).unwrap());
    text(me.await.unwrap()).await;
    let keys = Request::get("/cache/keys").body(Body::empty()).unwrap();
    let keys = text(app.oneshot(keys).await.unwrap()).await;
    assert!(
        keys.contains("http://shop.test/me") && keys.contains("sid"),
        "{keys}"
    );
    assert!(!keys.contains("hush"), "{keys}");
}
