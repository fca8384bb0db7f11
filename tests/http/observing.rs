//! What is counted of requests, by route and by window, and what counting costs.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use http::{Response, StatusCode};
use larder::{CacheLayer, Larder, Outcome, Policy, Routes, TestClock, Traffic, mins};
use tower::{Service, ServiceExt};

use crate::app::{App, read, request};

async fn pages() -> App {
    let table = Routes::new()
        .get("/a/{id}", Policy::ttl(mins(60)))
        .get("/b/{id}", Policy::ttl(mins(60)))
        .build()
        .unwrap();
    App::with(
        |larder| CacheLayer::new(larder).routes(table),
        |_, _| async { Ok(Response::new(Body::from("ten bytes."))) },
    )
    .await
}

fn traffic(app: &App, route: &str) -> Traffic {
    let all = app.larder.route_statistics();
    all.iter().find(|one| one.route == route).unwrap().traffic
}

#[tokio::test]
async fn requests_are_counted_by_the_pattern_of_their_route() {
    let app = pages().await;
    for path in ["/a/1", "/a/1", "/a/2", "/b/1", "/elsewhere"] {
        app.get(path).await;
    }
    let a = traffic(&app, "/a/{id}");
    assert_eq!(
        (a.requests(Outcome::Miss), a.requests(Outcome::Hit)),
        (2, 1)
    );
    assert_eq!((a.hit_bytes, a.filled_bytes), (10, 20));
    assert_eq!(traffic(&app, "/b/{id}").requests(Outcome::Miss), 1);
    assert_eq!(traffic(&app, "unmatched").requests(Outcome::Pass), 1);
    let all = app.larder.statistics();
    assert_eq!(all.requests(Outcome::Miss), 3);
    assert_eq!((all.hit_bytes, all.filled_bytes), (10, 30));
}

#[tokio::test]
async fn two_layers_of_a_handle_count_a_route_together() {
    let app = pages().await;
    let table = Routes::new().get("/a/{id}", Policy::ttl(mins(1))).build();
    let layer = CacheLayer::new(&app.larder).routes(table.unwrap());
    let origin = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, std::io::Error>(Response::new(Body::empty()))
    });
    let mut other = tower::Layer::layer(&layer, origin);
    other.call(request("/a/3")).await.unwrap();
    app.get("/a/1").await;
    assert_eq!(traffic(&app, "/a/{id}").requests(Outcome::Miss), 2);
}

#[tokio::test]
async fn windows_forget_what_is_longer_ago() {
    let app = pages().await;
    app.get("/a/1").await;
    app.get("/a/1").await;
    let hits = |app: &App| {
        let windows = app.larder.windows();
        let hits = windows
            .iter()
            .map(|window| window.traffic.requests(Outcome::Hit));
        hits.collect::<Vec<_>>()
    };
    assert_eq!(hits(&app), [1, 1, 1]);
    app.clock.advance(Duration::from_secs(200));
    app.get("/a/1").await;
    assert_eq!(hits(&app), [1, 2, 2]);
    app.clock.advance(Duration::from_secs(1000));
    assert_eq!(hits(&app), [0, 0, 2]);
    let windows = app.larder.windows();
    assert_eq!(windows[2].traffic.hit_ratio(), Some(2.0 / 3.0));
    assert_eq!(windows[2].fills.count, 1);
    assert!(windows[2].fills.p50.unwrap() > Duration::ZERO);
}

#[tokio::test]
async fn a_paused_route_goes_to_its_handler_until_it_is_resumed() {
    let app = pages().await;
    app.get("/a/1").await;
    assert!(app.larder.pause("/a/{id}"));
    for _ in 0..2 {
        assert_eq!(
            app.get("/a/1").await.told(),
            "larder; fwd=bypass; detail=paused"
        );
    }
    assert!(app.get("/b/1").await.told().contains("stored"));
    assert_eq!(app.runs(), 4);
    assert!(app.larder.resume("/a/{id}"));
    assert!(app.get("/a/1").await.told().contains("hit"));
    assert_eq!(app.runs(), 4);
}

#[tokio::test]
async fn a_hit_allocates_for_its_header_map_alone() {
    let clock = TestClock::new();
    let larder = Larder::builder().clock(clock).build().await.unwrap();
    let table = Routes::new().get("/a/{id}", Policy::ttl(mins(60))).build();
    let layer = CacheLayer::new(&larder).routes(table.unwrap());
    let origin = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, std::io::Error>(Response::new(Body::from("ten bytes.")))
    });
    let mut cache = tower::Layer::layer(&layer, origin);
    cache.call(request("/a/1")).await.unwrap();
    while !is_hit(&mut cache).await {
        tokio::task::yield_now().await;
    }
    // More than are measured, so that a measured one is among them.
    for _ in 0..40 {
        let asked = request("/a/1");
        let counted = allocation_counter::measure(|| {
            let answer = cache.call(asked);
            drop(answer);
        });
        assert_eq!(counted.count_total, 2, "{counted:?}");
    }
}

async fn is_hit<S, B>(cache: &mut S) -> bool
where
    S: Service<http::Request<Body>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
{
    let answer = cache.call(request("/a/1")).await.unwrap();
    let told = answer.headers()["cache-status"].to_str().unwrap();
    told.contains("; hit")
}

#[tokio::test]
async fn an_answer_that_is_not_kept_says_why() {
    type Fields = &'static [(&'static str, &'static str)];
    let page = || Policy::ttl(mins(1));
    let rows: [(Policy, u16, Fields, &str); 9] = [
        (Policy::new(), 200, &[], "no-lifetime"),
        (page(), 404, &[], "status"),
        (page(), 200, &[("set-cookie", "sid=1")], "set-cookie"),
        (page(), 200, &[("cache-control", "private")], "private"),
        (page(), 200, &[("vary", "cookie")], "vary-identity"),
        (page(), 200, &[("content-length", "9")], "length"),
        (page().max_body(9), 200, &[], "too-long"),
        (page(), 200, &[("vary", "a,b,c,d,e,f,g,h,i")], "wide-field"),
        (
            page(),
            200,
            &[("content-type", "text/event-stream")],
            "event-stream",
        ),
    ];
    for (policy, status, fields, why) in rows {
        let app = App::new(policy, move |_, _| async move {
            let mut response = Response::new(Body::from("ten bytes."));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in fields {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            Ok(response)
        })
        .await;
        let told = app.get("/a").await.told().to_owned();
        assert_eq!(told, format!("larder; fwd=uri-miss; detail={why}"));
    }
}

/// No table has seen the route whose layer stands next to it.
#[tokio::test]
async fn a_tag_of_a_parameter_that_the_route_does_not_have_is_told() {
    let larder = Larder::builder().build().await.unwrap();
    let near = larder.route(Policy::ttl(mins(1)).tag("item:{nope}"));
    let app = Router::new().route("/items/{id}", get(|| async { "an item" }).layer(near));
    let seen = read(app.oneshot(request("/items/7")).await.unwrap()).await;
    assert_eq!(seen.told(), "larder; fwd=uri-miss; detail=tags");
}
