//! The stream of events.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;

use crate::desk::{Desk, TOKEN};

async fn listen(desk: &Desk, query: &str) -> Body {
    let request = Request::get(format!("/admin/cache/events{query}"))
        .header("authorization", format!("Bearer {TOKEN}"));
    let response = desk.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body();
    assert_eq!(next(&mut events).await, ": listening\n\n");
    events
}

async fn next(events: &mut Body) -> String {
    let frame = events.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn answers_invalidations_and_changes_are_told_as_they_happen() {
    let desk = Desk::new().await;
    let mut events = listen(&desk, "").await;
    desk.visit("GET", "/items/1").await;
    let answer = next(&mut events).await;
    assert!(
        answer.starts_with("event: answer\n") && answer.contains(r#""outcome":"miss""#),
        "{answer}"
    );
    assert!(
        answer.contains(r#""path":"/items/1""#) && answer.contains("/items/{id}"),
        "{answer}"
    );
    desk.visit("GET", "/items/1").await;
    assert!(next(&mut events).await.contains(r#""outcome":"hit""#));
    desk.change("/purge", json!({ "tag": "items" })).await;
    let change = next(&mut events).await;
    assert!(
        change.starts_with("event: change\n") && change.contains("purge"),
        "{change}"
    );
    let purge = next(&mut events).await;
    assert!(purge.starts_with("event: invalidation\n"), "{purge}");
    assert!(
        purge.contains("tag items") && purge.contains("an administrator"),
        "{purge}"
    );
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let desk = Desk::new().await;
    let query = "?outcome=hit&kind=answers&route=/items/%7Bid%7D&sample=2";
    let mut events = listen(&desk, query).await;
    for path in [
        "/items/1", "/pages/a", "/pages/a", "/items/1", "/items/1", "/items/1",
    ] {
        desk.visit("GET", path).await;
    }
    desk.visit("PUT", "/items/1").await;
    desk.visit("GET", "/items/2").await;
    desk.visit("GET", "/items/2").await;
    desk.visit("GET", "/items/2").await;
    let mut paths = Vec::new();
    for _ in 0..3 {
        let event = next(&mut events).await;
        assert!(event.contains(r#""outcome":"hit""#), "{event}");
        paths.push(event.contains("/items/2"));
    }
    // Hits 1, 3 and 5 of the route, in this order.
    assert_eq!(paths, [false, false, true]);
}

#[tokio::test]
async fn attempts_that_were_refused_are_told() {
    let desk = Desk::new().await;
    let mut events = listen(&desk, "?kind=invalidations").await;
    let attempt = Request::post("/admin/cache/purge").body(Body::empty());
    assert_eq!(desk.send(attempt.unwrap()).await.status(), 401);
    let told = next(&mut events).await;
    assert!(
        told.contains("refused") && told.contains("/purge"),
        "{told}"
    );
}

#[tokio::test]
async fn a_listener_too_many_is_sent_away_and_one_that_left_makes_room() {
    let desk = Desk::new().await;
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(listen(&desk, "").await);
    }
    assert_eq!(desk.ask("GET", "/events", None).await.0, 503);
    all.pop();
    all.push(listen(&desk, "").await);
    assert_eq!(desk.ask("GET", "/events?outcome=sunny", None).await.0, 400);
    assert_eq!(desk.ask("GET", "/events?kind=rain", None).await.0, 400);
}

#[tokio::test]
async fn a_shutdown_ends_the_stream() {
    let desk = Desk::new().await;
    let mut events = listen(&desk, "").await;
    desk.larder.shutdown(std::time::Duration::ZERO).await;
    assert!(events.frame().await.is_none());
}
