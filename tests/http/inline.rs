//! A layer outside of any runtime: there is no task to leave a handler run to.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use larder::{CacheLayer, Larder, Policy, Routes, mins};

use crate::app::{Answer, App, Frames, Seen, data, read, request};

/// Runs what never has to wait, without a runtime.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

fn app(answer: impl Fn(usize) -> Answer + Clone + Send + Sync + 'static) -> App {
    run(App::new(Policy::ttl(mins(1)), move |number, _| {
        let answer = answer.clone();
        async move { answer(number) }
    }))
}

fn get(app: &App, path: &str) -> Seen {
    run(app.get(path))
}

/// A body of unknown length, in two pieces, with trailers.
fn pieces() -> Body {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    Body::new(Frames {
        frames: [data("one, "), data("two"), Ok(Frame::trailers(trailers))].into(),
        length: None,
    })
}

#[test]
fn what_a_client_reads_to_its_end_is_stored() {
    let app = app(|_| Ok(Response::new(pieces())));
    let first = get(&app, "/a");
    assert_eq!(first.told(), "larder; fwd=uri-miss; stored; ttl=60");
    assert_eq!(first.body, "one, two");
    let second = run(app.send(request("/a"))).unwrap();
    assert_eq!(
        second.headers()["cache-status"],
        "larder; hit; ttl=60; detail=MEMORY"
    );
    let body = run(second.into_body().collect()).unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "1");
    assert_eq!(body.to_bytes(), "one, two");
    assert_eq!(app.runs(), 1);
}

#[test]
fn what_a_client_does_not_read_is_not_stored() {
    let app = app(|_| Ok(Response::new(pieces())));
    let response = run(app.send(request("/a"))).unwrap();
    drop(response);
    assert_eq!(app.larder.statistics().entries, 0);
    get(&app, "/a");
    assert_eq!((app.larder.statistics().entries, app.runs()), (1, 2));
}

#[test]
fn a_second_request_does_not_wait_for_the_first() {
    let app = app(|_| Ok(Response::new(pieces())));
    let first = run(app.send(request("/a"))).unwrap();
    let second = run(app.send(request("/a"))).unwrap();
    assert_eq!(run(read(second)).body, "one, two");
    assert_eq!(run(read(first)).body, "one, two");
    assert_eq!(app.runs(), 2);
    assert_eq!(get(&app, "/a").body, "one, two");
    assert_eq!(app.runs(), 2);
}

#[test]
fn a_body_over_the_limit_arrives_whole_and_is_not_stored() {
    let answer = |_| Ok(Response::new(pieces()));
    let policy = Policy::ttl(mins(1)).max_body(6);
    let app = run(App::new(
        policy,
        move |number, _| async move { answer(number) },
    ));
    for _ in 0..2 {
        assert_eq!(get(&app, "/a").body, "one, two");
    }
    assert_eq!((app.larder.statistics().entries, app.runs()), (0, 2));
}

#[test]
fn a_stale_page_is_fetched_anew() {
    let app = app(|number| Ok(Response::new(Body::from(format!("by run {number}")))));
    get(&app, "/a");
    app.clock.advance(mins(2));
    assert_eq!(get(&app, "/a").body, "by run 2");
    assert_eq!(get(&app, "/a").body, "by run 2");
}

#[tokio::test]
async fn after_a_shutdown_pages_are_still_stored() {
    let larder = Larder::builder().build().await.unwrap();
    let table = Routes::new()
        .get("/a", Policy::ttl(mins(1)))
        .build()
        .unwrap();
    let app = axum::Router::new()
        .route("/a", axum::routing::get(|| async { "a page" }))
        .layer(CacheLayer::new(&larder).routes(table));
    larder.shutdown(mins(1)).await;
    for told in ["fwd=uri-miss; stored", "hit"] {
        let sent = tower::ServiceExt::oneshot(app.clone(), request("/a"));
        let seen = read(sent.await.unwrap()).await;
        assert!(seen.told().contains(told), "{}", seen.told());
    }
}
