//! Hit, miss, mutation, and what is left alone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    routing::{get, put},
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use larder::{CacheLayer, Invalidate, Larder, Policy, Routes, mins};
use tower::ServiceExt;

async fn app() -> (Router, Larder, Arc<AtomicUsize>) {
    let larder = Larder::builder().build().await.unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let routes = Routes::new()
        .get("/items/{id}", Policy::ttl(mins(1)).tag("item:{id}"))
        .on("PUT /items/{id}", Invalidate::tags(["item:{id}"]))
        .build()
        .unwrap();
    let show = move |Path(id): Path<String>| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { format!("{id} by run {run}") }
    };
    let app = Router::new()
        .route("/items/{id}", get(show))
        .route("/items/{id}", put(|| async { StatusCode::NO_CONTENT }))
        .layer(CacheLayer::new(&larder).routes(routes));
    (app, larder, runs)
}

async fn ask(app: &Router, method: &str, path: &str) -> (Response<()>, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a.test")
        .body(Body::empty())
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (Response::from_parts(parts, ()), text)
}

#[tokio::test]
async fn the_second_request_is_answered_from_the_store_until_the_first_mutation() {
    let (app, _larder, runs) = app().await;
    let (first, body) = ask(&app, "GET", "/items/7").await;
    assert_eq!(body, "7 by run 1");
    assert_eq!(
        first.headers()["cache-status"],
        "larder; fwd=uri-miss; stored; ttl=60"
    );
    let (second, body) = ask(&app, "GET", "/items/7").await;
    assert_eq!(body, "7 by run 1");
    assert_eq!(
        second.headers()["cache-status"],
        "larder; hit; ttl=60; detail=MEMORY"
    );
    assert_eq!(second.headers()["age"], "0");
    let (head, body) = ask(&app, "HEAD", "/items/7").await;
    assert_eq!((head.status(), body.as_str()), (StatusCode::OK, ""));
    let (put, _) = ask(&app, "PUT", "/items/7").await;
    assert_eq!(put.status(), StatusCode::NO_CONTENT);
    let (_, body) = ask(&app, "GET", "/items/7").await;
    assert_eq!(body, "7 by run 2");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_route_that_was_never_fit_to_be_stored_is_stored_from_its_second_fit_answer_on() {
    // Far more unfit answers than it takes until requests are no longer kept.
    const UNFIT: usize = 200;
    let larder = Larder::builder().build().await.unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = move || async move {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        let word = if run < UNFIT {
            "no-store"
        } else {
            "max-age=60"
        };
        ([("cache-control", word)], run.to_string())
    };
    let app = Router::new()
        .route("/page", get(handler))
        .layer(CacheLayer::new(&larder));
    for _ in 0..UNFIT + 5 {
        let request = Request::get("/page").header("host", "a.test");
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(runs.load(Ordering::SeqCst), UNFIT + 2);
}
