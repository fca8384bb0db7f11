//! Answers to POST that a gateway keeps for a later GET.

use axum::body::Body;
use http::{Method, Request, Response};
use larder::{CacheLayer, Target};

use crate::app::{App, Gate, Seen, read, request, settle};

/// Answers a POST with the page that a GET of `location` gets, good for a minute.
fn page(run: usize, location: &str) -> Response<Body> {
    Response::builder()
        .header("cache-control", "max-age=60")
        .header("content-location", location)
        .body(Body::from(format!("by run {run}")))
        .unwrap()
}

fn post() -> Request<Body> {
    let mut post = request("/a?b");
    *post.method_mut() = Method::POST;
    *post.body_mut() = Body::from("new");
    post
}

async fn posted(app: &App, post: Request<Body>) -> Seen {
    let seen = read(app.send(post).await.unwrap()).await;
    settle().await;
    seen
}

// part 1 rule 7
#[tokio::test]
async fn a_gateway_keeps_the_answer_to_a_post_that_is_the_page_itself() {
    let app = App::with(CacheLayer::gateway, |run, _| async move {
        Ok(page(run, "/a?b"))
    })
    .await;
    assert_eq!(app.get("/a?b").await.body, "by run 1");
    settle().await;
    let answer = posted(&app, post()).await;
    assert_eq!(answer.body, "by run 2");
    assert_eq!(answer.told(), "larder; fwd=method; stored; ttl=60");
    let seen = app.get("/a?b").await;
    assert_eq!((seen.body.as_str(), app.runs()), ("by run 2", 2));
    // The next POST runs again, whatever is stored.
    assert_eq!(posted(&app, post()).await.body, "by run 3");
    assert_eq!(app.get("/a?b").await.body, "by run 3");
}

#[tokio::test]
async fn what_a_post_says_of_another_page_or_of_none_is_not_kept() {
    for location in ["/a", "/a?c", "//b.test/a?b", ""] {
        let app = App::with(CacheLayer::gateway, move |run, _| async move {
            Ok(page(run, location))
        })
        .await;
        assert_eq!(posted(&app, post()).await.told(), "", "{location}");
        assert_eq!(app.get("/a?b").await.body, "by run 2", "{location}");
    }
}

#[tokio::test]
async fn an_application_keeps_no_answer_to_a_post() {
    let app = App::with(
        CacheLayer::new,
        |run, _| async move { Ok(page(run, "/a?b")) },
    )
    .await;
    posted(&app, post()).await;
    assert_eq!(app.get("/a?b").await.body, "by run 2");
}

/// The handler may have read what the other write has changed.
#[tokio::test]
async fn an_answer_to_a_post_that_another_write_overtakes_is_not_kept() {
    for target in [Target::url("/a"), Target::tag("any")] {
        let gate = Gate::new();
        let inside = gate.clone();
        let app = App::with(CacheLayer::gateway, move |run, _| {
            let gate = inside.clone();
            async move {
                gate.pass().await;
                Ok(page(run, "/a?b"))
            }
        })
        .await;
        let slow = tokio::spawn(app.send(post()));
        settle().await;
        app.larder.invalidate([target]).await;
        gate.open();
        assert_eq!(read(slow.await.unwrap().unwrap()).await.body, "by run 1");
        settle().await;
        assert_eq!(app.get("/a?b").await.body, "by run 2");
    }
}

#[tokio::test]
async fn a_write_after_a_post_makes_its_answer_void() {
    let app = App::with(CacheLayer::gateway, |run, _| async move {
        Ok(page(run, "/a?b"))
    })
    .await;
    posted(&app, post()).await;
    app.larder.invalidate([Target::url("/a")]).await;
    let seen = app.get("/a?b").await;
    assert_eq!(seen.body, "by run 2");
    assert_eq!(seen.told(), "larder; fwd=miss; stored; ttl=60");
}
