//! Who has the last word on a page: its route, the table, its own response, or the layer.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    routing::{get, put},
};
use http::{HeaderName, Method, Response, header::CACHE_CONTROL};
use larder::{CacheHint, CacheLayer, Invalidate, Larder, Policy, RouteTable, Routes, mins, secs};
use tokio::{task::JoinSet, time::Instant};
use tower::{Layer, ServiceExt};

use crate::app::{App, Gate, Seen, read, request, settle};

fn table(pattern: &str, policy: Policy) -> RouteTable {
    Routes::new().get(pattern, policy).build().unwrap()
}

async fn ask(app: &Router, path: &str) -> Seen {
    read(app.clone().oneshot(request(path)).await.unwrap()).await
}

/// A handler that answers with the number of its run.
fn counted() -> impl Fn() -> Ready<String> + Clone + Send + Sync + 'static {
    let runs = Arc::new(AtomicUsize::new(0));
    move || {
        ready(format!(
            "by run {}",
            runs.fetch_add(1, Ordering::SeqCst) + 1
        ))
    }
}

/// A handler that also says how long its pages are good.
fn telling() -> impl Fn() -> Ready<([(HeaderName, &'static str); 1], String)> + Clone + Send + Sync
{
    let plain = counted();
    move || ready(([(CACHE_CONTROL, "max-age=30")], plain().into_inner()))
}

/// Its layers have one key, so the inner one must not wait for the flight of the outer one.
#[tokio::test(start_paused = true)]
async fn a_policy_next_to_the_route_wins_over_the_table() {
    let larder = Larder::builder().build().await.unwrap();
    let near = larder.route(Policy::ttl(secs(5)));
    let app = Router::new()
        .route("/a", get(counted()).layer(near))
        .layer(CacheLayer::new(&larder).routes(table("/a", Policy::ttl(mins(1)))));
    let began = Instant::now();
    assert_eq!(ask(&app, "/a").await.body, "by run 1");
    assert!(began.elapsed().is_zero());
    settle().await;
    let seen = ask(&app, "/a").await;
    assert_eq!(seen.body, "by run 1");
    assert!(
        seen.told().starts_with("larder; hit; ttl=5;"),
        "{}",
        seen.told()
    );
    assert_eq!(larder.statistics().entries, 1, "only one layer stores it");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_before_two_layers_is_two_runs_at_most_and_waits_for_nothing() {
    let larder = Larder::builder().build().await.unwrap();
    let near = larder.route(Policy::ttl(mins(1)));
    let (gate, runs) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (inside, counted) = (gate.clone(), Arc::clone(&runs));
    let page = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let gate = inside.clone();
        async move {
            gate.pass().await;
            "a"
        }
    };
    let app = Router::new()
        .route("/a", get(page).layer(near))
        .layer(CacheLayer::new(&larder).routes(table("/a", Policy::ttl(mins(1)))));
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let app = app.clone();
        crowd.spawn(async move { ask(&app, "/a").await.body });
    }
    settle().await;
    let began = Instant::now();
    gate.open();
    assert!(crowd.join_all().await.iter().all(|body| body == "a"));
    assert!(began.elapsed().is_zero());
    assert!(runs.load(Ordering::SeqCst) <= 2);
    assert_eq!(larder.statistics().entries, 1);
}

#[tokio::test]
async fn a_route_that_is_not_stored_is_not_stored_by_an_outer_layer() {
    let larder = Larder::builder().build().await.unwrap();
    let never = larder.route(Policy::new().no_store());
    let app = Router::new()
        .route("/a", get(counted()).layer(never))
        .layer(CacheLayer::new(&larder).routes(table("/a", Policy::ttl(mins(1)))));
    for run in 1..4 {
        assert_eq!(ask(&app, "/a").await.body, format!("by run {run}"));
    }
    assert_eq!(larder.statistics().entries, 0);
}

#[tokio::test]
async fn an_outer_layer_steps_aside_for_what_an_inner_one_has_learned() {
    let larder = Larder::builder().build().await.unwrap();
    let inner = Router::new()
        .route("/a", get(telling()))
        .layer(CacheLayer::new(&larder));
    let app = Router::new()
        .nest("/inner", inner)
        .layer(CacheLayer::new(&larder));
    for _ in 0..3 {
        assert_eq!(ask(&app, "/inner/a").await.body, "by run 1");
        settle().await;
    }
    let seen = ask(&app, "/inner/a").await;
    assert_eq!(seen.headers.get_all("cache-status").iter().count(), 1);
    let statistics = larder.statistics();
    assert_eq!((statistics.entries, statistics.stored()), (1, 1));
}

#[tokio::test]
async fn an_outer_layer_without_patterns_steps_aside_for_the_urls_of_the_inner_one_alone() {
    let larder = Larder::builder().build().await.unwrap();
    let inner = Router::new()
        .route("/a", get(telling()))
        .layer(CacheLayer::new(&larder));
    let app = Router::new()
        .nest("/inner", inner)
        .route("/own", get(telling()));
    let app = CacheLayer::new(&larder).layer(app);
    let ask = async |path: &str| {
        let seen = app.clone().oneshot(request(path)).await.unwrap();
        let seen = read(seen.map(Body::new)).await;
        settle().await;
        seen
    };
    for _ in 0..3 {
        assert_eq!(ask("/inner/a").await.body, "by run 1");
        assert_eq!(ask("/own").await.body, "by run 1");
    }
    for path in ["/inner/a", "/own"] {
        let seen = ask(path).await;
        assert_eq!(seen.told(), "larder; hit; ttl=30; detail=MEMORY", "{path}");
        assert_eq!(seen.headers.get_all("cache-status").iter().count(), 1);
    }
    assert_eq!(larder.statistics().entries, 2);
}

#[tokio::test]
async fn what_a_response_says_wins_over_the_table() {
    let larder = Larder::builder().build().await.unwrap();
    let app = Router::new()
        .route("/header", get(telling()))
        .route(
            "/hint",
            get(|| async {
                (
                    CacheHint::ttl(secs(7)),
                    [(CACHE_CONTROL, "max-age=30")],
                    "a",
                )
            }),
        )
        .route("/none", get(|| async { (CacheHint::no_store(), "a") }))
        .layer(
            CacheLayer::new(&larder).routes(
                Routes::new()
                    .get("/header", Policy::ttl(mins(1)))
                    .get("/hint", Policy::ttl(mins(1)))
                    .get("/none", Policy::ttl(mins(1)))
                    .build()
                    .unwrap(),
            ),
        );
    for (path, told) in [
        ("/header", "larder; hit; ttl=30; detail=MEMORY"),
        ("/hint", "larder; hit; ttl=7; detail=MEMORY"),
    ] {
        ask(&app, path).await;
        settle().await;
        assert_eq!(ask(&app, path).await.told(), told);
    }
    ask(&app, "/none").await;
    assert!(!ask(&app, "/none").await.told().contains("hit"));
    assert_eq!(larder.statistics().entries, 2);
}

#[tokio::test]
async fn a_hint_purges_and_serves_stale_as_it_says() {
    let app = App::with(CacheLayer::new, |run, _| async move {
        let mut response = Response::new(Body::from(format!("by run {run}")));
        let hint = CacheHint::ttl(secs(10))
            .stale_while_revalidate(secs(10))
            .tag("hinted");
        response.extensions_mut().insert(hint);
        Ok(response)
    })
    .await;
    app.get("/a").await;
    settle().await;
    app.clock.advance(secs(15));
    assert_eq!(app.get("/a").await.body, "by run 1");
    settle().await;
    assert_eq!(app.get("/a").await.body, "by run 2");
    app.larder.invalidate_tag("hinted").await;
    assert_eq!(app.get("/a").await.body, "by run 3");
}

#[tokio::test]
async fn a_route_is_learned_by_its_pattern_and_others_pass() {
    let larder = Larder::builder().build().await.unwrap();
    let app = Router::new()
        .route("/items/{id}", get(telling()))
        .route("/plain", get(counted()))
        .layer(CacheLayer::new(&larder));
    assert_eq!(ask(&app, "/items/1").await.body, "by run 1");
    settle().await;
    assert_eq!(ask(&app, "/items/1").await.body, "by run 1");
    // Of the next item nothing is stored, but it is known that it is worth looking up.
    let seen = ask(&app, "/items/2").await;
    assert_eq!(seen.told(), "larder; fwd=uri-miss; stored; ttl=30");
    for run in 1..4 {
        let seen = ask(&app, "/plain").await;
        assert_eq!(
            (seen.body, seen.headers.contains_key("cache-status")),
            (format!("by run {run}"), false)
        );
    }
}

#[tokio::test]
async fn the_default_of_a_layer_declares_nothing() {
    let larder = Larder::builder().build().await.unwrap();
    let app = Router::new()
        .route("/a", get(counted()))
        .layer(CacheLayer::new(&larder).policy(&Policy::ttl(mins(1))));
    assert_eq!(ask(&app, "/a").await.body, "by run 1");
    assert_eq!(ask(&app, "/a").await.body, "by run 2");
}

/// What it would be keyed by is unknown, so that nothing may be shared.
#[tokio::test]
async fn a_layer_with_a_policy_that_can_not_work_caches_nothing() {
    let larder = Larder::builder().build().await.unwrap();
    let mistaken = Policy::new().vary(["x tenant"]);
    let app = Router::new().route("/a", get(counted())).layer(
        CacheLayer::new(&larder)
            .policy(&mistaken)
            .routes(table("/a", Policy::ttl(mins(1)))),
    );
    for run in 1..4 {
        assert_eq!(ask(&app, "/a").await.body, format!("by run {run}"));
    }
}

/// Which name a parameter has is between the router and the handler.
#[tokio::test]
async fn a_table_that_names_the_parameters_otherwise_than_the_router_counts() {
    let larder = Larder::builder().build().await.unwrap();
    let table = Routes::new()
        .get("/items/{item}", Policy::ttl(mins(1)).tag("item:{item}"))
        .get("/lists/{id}", Policy::ttl(mins(1)).tag("item:{id}"))
        .on(
            "PUT /items/{number}/stock",
            Invalidate::tags(["item:{number}"]),
        )
        .build()
        .unwrap();
    let app = Router::new()
        .route("/items/{id}", get(counted()))
        .route("/lists/{id}", get(counted()))
        .route("/items/{id}/stock", put(|| async {}))
        .layer(CacheLayer::new(&larder).routes(table));
    for path in ["/items/7", "/lists/7"] {
        for _ in 0..2 {
            assert_eq!(ask(&app, path).await.body, "by run 1", "{path}");
        }
    }
    let mut change = request("/items/7/stock");
    *change.method_mut() = Method::PUT;
    app.clone().oneshot(change).await.unwrap();
    for path in ["/items/7", "/lists/7"] {
        assert_eq!(ask(&app, path).await.body, "by run 2", "{path}");
    }
    for (named, run) in [("/items/{id}", 3), ("/items/{item}", 4)] {
        larder.bump_route(named).await;
        assert_eq!(ask(&app, "/items/7").await.body, format!("by run {run}"));
    }
}
