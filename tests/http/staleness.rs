//! Stale pages: who is served one, who starts the refresh, and what ends it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, Method, Response, StatusCode};
use larder::{CacheLayer, Policy, Routes, SwrLayer, Target, hours, mins, secs};
use tokio::time::timeout;

use crate::app::{Answer, App, Gate, Seen, read, request, settle};

/// Fresh for 10 s, then served for 20 s while it is refreshed.
fn page() -> Policy {
    Policy::ttl(secs(10))
        .stale_while_revalidate(secs(20))
        .tag("page:{page}")
}

fn by_run(run: usize) -> Answer {
    Ok(Response::new(Body::from(format!("by run {run}"))))
}

/// An app whose first run answers at once and whose later ones wait at a gate.
async fn gated(policy: Policy) -> (App, Gate) {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(policy, move |run, _| {
        let gate = inside.clone();
        async move {
            if run > 1 {
                gate.pass().await;
            }
            by_run(run)
        }
    });
    (app.await, gate)
}

/// Asks, and fails if the answer has to be waited for.
async fn at_once(app: &App) -> Seen {
    timeout(Duration::from_millis(1), app.get("/a"))
        .await
        .expect("the reader waits")
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_stale_page_never_wait_and_start_one_refresh() {
    let (app, gate) = gated(page()).await;
    app.get("/a").await;
    app.clock.advance(secs(15));
    for _ in 0..20 {
        let seen = at_once(&app).await;
        assert_eq!(seen.body, "by run 1");
        assert_eq!(seen.told(), "larder; hit; ttl=-5; detail=MEMORY");
        assert_eq!(seen.headers["age"], "15");
        settle().await;
    }
    assert_eq!((app.runs(), app.larder.statistics().refreshes()), (2, 1));
    gate.open();
    settle().await;
    let seen = at_once(&app).await;
    assert_eq!(seen.body, "by run 2");
    assert_eq!(seen.told(), "larder; hit; ttl=10; detail=MEMORY");
}

#[tokio::test]
async fn after_its_window_a_stale_page_is_waited_for() {
    let app = App::new(page(), |run, _| async move { by_run(run) }).await;
    app.get("/a").await;
    app.clock.advance(secs(30));
    let seen = app.get("/a").await;
    assert_eq!(seen.body, "by run 2");
}

#[tokio::test]
async fn a_refresh_is_the_request_itself_without_its_conditions() {
    let shown: Arc<Mutex<Vec<(HeaderMap, Option<u8>)>>> = Arc::default();
    let all = Arc::clone(&shown);
    let app = App::new(page(), move |run, request: http::Request<Body>| {
        let extension = request.extensions().get::<u8>().copied();
        let head = (request.headers().clone(), extension);
        all.lock().unwrap().push(head);
        async move { by_run(run) }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(15));
    let mut asked = request("/a");
    let conditions = [
        ("if-none-match", "\"other\""),
        ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("range", "bytes=0-1"),
        ("if-range", "\"other\""),
    ];
    for (name, value) in conditions {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    asked.headers_mut().insert("x-kept", "yes".parse().unwrap());
    asked.extensions_mut().insert(7_u8);
    let seen = read(app.send(asked).await.unwrap()).await;
    assert_eq!(seen.body, "by run 1");
    settle().await;
    let shown = shown.lock().unwrap();
    let (headers, extension) = &shown[1];
    for (name, _) in conditions {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(headers["x-kept"], "yes");
    assert_eq!(*extension, Some(7));
}

#[tokio::test]
async fn a_head_request_is_served_stale_and_refreshes_nothing() {
    let app = App::new(page(), |run, _| async move { by_run(run) }).await;
    app.get("/a").await;
    app.clock.advance(secs(15));
    let mut head = request("/a");
    *head.method_mut() = Method::HEAD;
    let seen = read(app.send(head).await.unwrap()).await;
    assert_eq!(seen.headers["age"], "15");
    assert_eq!(seen.body, "");
    settle().await;
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn a_page_is_refreshed_at_nine_tenths_of_its_lifetime() {
    let table = Routes::new()
        .get("/{page}", Policy::ttl(secs(10)))
        .build()
        .unwrap();
    let app = App::with(
        |larder| SwrLayer::new(larder).routes(table),
        |run, _| async move { by_run(run) },
    )
    .await;
    app.get("/a").await;
    app.clock.advance(Duration::from_millis(8_999));
    app.get("/a").await;
    settle().await;
    assert_eq!(app.runs(), 1);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(app.get("/a").await.body, "by run 1");
    settle().await;
    assert_eq!(app.runs(), 2);
    let seen = app.get("/a").await;
    assert_eq!(seen.told(), "larder; hit; ttl=10; detail=MEMORY");
    assert_eq!(seen.body, "by run 2");
}

#[tokio::test]
async fn a_short_lifetime_is_not_refreshed_ahead() {
    let policy = Policy::ttl(Duration::from_millis(4_999)).refresh_ahead(0.1);
    let app = App::new(policy, |run, _| async move { by_run(run) }).await;
    app.get("/a").await;
    app.clock.advance(Duration::from_millis(4_998));
    app.get("/a").await;
    settle().await;
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn the_windows_of_a_soft_purged_page_count_from_the_purge() {
    let policy = Policy::ttl(mins(1)).stale_while_revalidate(secs(10));
    for (later, body) in [(9, "by run 1"), (10, "by run 2")] {
        let app = App::new(policy.clone(), |run, _| async move { by_run(run) }).await;
        app.get("/a").await;
        app.clock.advance(secs(20));
        app.larder.invalidate_soft([Target::url("/a")]).await;
        app.clock.advance(secs(later));
        assert_eq!(app.get("/a").await.body, body, "{later} s later");
        settle().await;
        // Refreshed once, and good again.
        assert_eq!(app.get("/a").await.body, "by run 2");
        assert_eq!(app.runs(), 2);
    }
}

#[tokio::test]
async fn a_hard_purged_page_is_not_served_while_it_is_refreshed() {
    let app = App::new(page(), |run, _| async move { by_run(run) }).await;
    app.get("/a").await;
    app.clock.advance(secs(15));
    app.larder.invalidate_tag("page:a").await;
    assert_eq!(app.get("/a").await.body, "by run 2");
}

#[tokio::test]
async fn a_refresh_that_an_invalidation_overtakes_is_void() {
    let (app, gate) = gated(page()).await;
    app.get("/a").await;
    app.clock.advance(secs(15));
    app.get("/a").await;
    settle().await;
    assert_eq!(app.runs(), 2);
    app.larder.invalidate_tag("page:a").await;
    gate.open();
    settle().await;
    assert_eq!(app.get("/a").await.body, "by run 3");
}

#[tokio::test]
async fn jumps_of_the_wall_clock_change_no_lifetime_and_no_age() {
    for jump in [3_600_000, -3_600_000] {
        let app = App::new(Policy::new(), |run, _| async move {
            let mut response = by_run(run)?;
            let lifetime = "max-age=60".parse().unwrap();
            response.headers_mut().insert("cache-control", lifetime);
            Ok(response)
        })
        .await;
        app.get("/a").await;
        app.clock.jump_wall(jump);
        app.clock.advance(secs(59));
        let seen = app.get("/a").await;
        assert_eq!(seen.body, "by run 1");
        assert_eq!(seen.headers["age"], "59");
        app.clock.advance(secs(1));
        assert_eq!(app.get("/a").await.body, "by run 2");
        // What is stored after the jump lives as long.
        app.clock.advance(secs(59));
        assert_eq!(app.get("/a").await.body, "by run 2");
        app.clock.advance(secs(1));
        assert_eq!(app.get("/a").await.body, "by run 3");
    }
}

#[tokio::test]
async fn jitter_only_shortens_and_by_a_tenth_at_most() {
    let policy = Policy::ttl(secs(1000)).jitter(0.1);
    let app = App::new(policy, |run, _| async move { by_run(run) }).await;
    let mut lifetimes = Vec::new();
    for page in 0..50 {
        let seen = app.get(&format!("/{page}")).await;
        let (_, told) = seen.told().split_once("ttl=").unwrap();
        lifetimes.push(told.parse::<u64>().unwrap());
    }
    assert!(
        lifetimes.iter().all(|ttl| (899..=1000).contains(ttl)),
        "{lifetimes:?}"
    );
    lifetimes.dedup();
    assert!(lifetimes.len() > 10, "{lifetimes:?}");
}

#[tokio::test]
async fn windows_of_the_layer_lie_under_those_of_its_routes() {
    let base = Policy::new()
        .stale_while_revalidate(secs(20))
        .stale_if_error(hours(1));
    let table = Routes::new()
        .get("/long", Policy::ttl(secs(10)))
        .get(
            "/short",
            Policy::ttl(secs(10)).stale_while_revalidate(secs(5)),
        )
        .build()
        .unwrap();
    let app = App::with(
        |larder| CacheLayer::new(larder).policy(&base).routes(table),
        |run, _| async move { by_run(run) },
    )
    .await;
    app.get("/long").await;
    app.get("/short").await;
    app.clock.advance(secs(16));
    assert_eq!(app.get("/long").await.body, "by run 1");
    settle().await;
    assert_eq!(app.get("/short").await.body, "by run 4");
}

#[tokio::test]
async fn that_there_is_no_page_is_not_said_any_longer_than_it_is_fresh() {
    let policy = page()
        .stale_if_error(mins(1))
        .store_status([StatusCode::NOT_FOUND])
        .negative_ttl(secs(2));
    let app = App::new(policy, |run, _| async move {
        let mut response = by_run(run)?;
        if run == 1 {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok(response)
    })
    .await;
    for _ in 0..2 {
        assert_eq!(app.get("/a").await.status, StatusCode::NOT_FOUND);
    }
    app.clock.advance(secs(3));
    assert_eq!(app.get("/a").await.body, "by run 2");
}

#[tokio::test]
async fn the_lifetime_of_an_absence_holds_where_the_layer_names_the_status() {
    let base = Policy::new().store_status([StatusCode::NOT_FOUND]);
    for (named, runs) in [(Policy::new(), 3), (base, 2)] {
        let table = Routes::new().get("/a", Policy::ttl(secs(10)).negative_ttl(secs(2)));
        let table = table.build().unwrap();
        let app = App::with(
            |larder| CacheLayer::new(larder).policy(&named).routes(table),
            |_, _| async {
                let mut response = Response::new(Body::from("no page"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            },
        )
        .await;
        app.get("/a").await;
        app.get("/a").await;
        app.clock.advance(secs(3));
        app.get("/a").await;
        assert_eq!(app.runs(), runs);
    }
}
