//! Policies and invalidations that stand on the handlers themselves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Redirect},
    routing::{get, put},
};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use larder::{CacheLayer, Larder, Policy, Routes, mins, secs};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::app::{Gate, Seen, read, request, settle};

/// Counts the runs of the handlers, and holds some of them.
#[derive(Clone)]
struct Desk {
    runs: Arc<AtomicUsize>,
    gate: Gate,
}

impl Desk {
    fn new() -> Self {
        Self {
            runs: Arc::default(),
            gate: Gate::new(),
        }
    }

    fn next(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[larder::cache(ttl = "1m", tags("product:{id}", "products"))]
async fn product(State(desk): State<Desk>, Path(id): Path<u64>) -> String {
    format!("product {id} by run {}", desk.next())
}

#[larder::cache(ttl = "1m", query("page"))]
async fn list(State(desk): State<Desk>, uri: Uri, OriginalUri(whole): OriginalUri) -> String {
    format!("{uri} {whole} by run {}", desk.next())
}

#[larder::cache(ttl = "1m", vary("x-tenant"))]
async fn tenant(State(desk): State<Desk>, headers: HeaderMap) -> String {
    let tenant = headers
        .get("x-tenant")
        .map_or("", |name| name.to_str().unwrap());
    format!("{tenant} by run {}", desk.next())
}

#[larder::cache(ttl = "1m")]
async fn fickle(
    State(desk): State<Desk>,
    Path(what): Path<String>,
) -> Result<impl IntoResponse, Redirect> {
    match what.as_str() {
        "error" => Err(Redirect::permanent(&format!("/by-run-{}", desk.next()))),
        _ => Ok((
            StatusCode::PERMANENT_REDIRECT,
            format!("by run {}", desk.next()),
        )),
    }
}

#[larder::invalidates("product:{id}", "products")]
async fn update(State(desk): State<Desk>, Path((id, how)): Path<(u64, String)>) -> StatusCode {
    let _ = id;
    match how.as_str() {
        "refuse" => StatusCode::CONFLICT,
        "fail" => StatusCode::INTERNAL_SERVER_ERROR,
        "panic" => panic!("in the middle of a change"),
        "wait" => {
            desk.gate.pass().await;
            StatusCode::OK
        }
        _ => StatusCode::NO_CONTENT,
    }
}

#[larder::invalidates("products")]
async fn rebuild() -> &'static str {
    "rebuilt"
}

#[larder::invalidates("product:{typo}")]
async fn mistaken(_: Request<Body>) -> &'static str {
    "done"
}

async fn shop() -> (Larder, Router) {
    let larder = Larder::builder().build().await.unwrap();
    let router = Router::new()
        .route("/products/{id}", get(product))
        .route("/products/{id}/{how}", put(update))
        .route("/list", get(list))
        .route("/tenant", get(tenant))
        .route("/fickle/{what}", get(fickle))
        .route("/rebuild", put(rebuild))
        .route("/mistaken", put(mistaken))
        .with_state(Desk::new())
        .layer(CacheLayer::new(&larder));
    (larder, router)
}

async fn ask(app: &Router, path: &str) -> Seen {
    let seen = read(app.clone().oneshot(request(path)).await.unwrap()).await;
    settle().await;
    seen
}

async fn change(app: &Router, path: &str) -> StatusCode {
    let mut request = request(path);
    *request.method_mut() = Method::PUT;
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn an_answer_is_kept_as_its_handler_declares_from_the_first_one_on() {
    let (larder, app) = shop().await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 1");
    let seen = ask(&app, "/products/7").await;
    assert_eq!(seen.body, "product 7 by run 1");
    assert_eq!(seen.told(), "larder; hit; ttl=60; detail=MEMORY");
    larder.invalidate_tag("product:7").await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 2");
}

#[tokio::test]
async fn an_unlisted_parameter_never_stands_in_an_answer_that_is_shared() {
    let (larder, app) = shop().await;
    // What the layer has not learned yet it does not share.
    let first = ask(&app, "/list?page=2&evil=1").await;
    assert_eq!(
        first.body,
        "/list?page=2&evil=1 /list?page=2&evil=1 by run 1"
    );
    assert_eq!(first.told(), "larder; fwd=uri-miss; detail=unkeyed");
    assert_eq!(larder.statistics().entries, 0);
    for query in ["page=2&evil=2", "evil=3&page=2", "page=2"] {
        let seen = ask(&app, &format!("/list?{query}")).await;
        assert_eq!(seen.body, "/list?page=2 /list?page=2 by run 2", "{query}");
    }
    assert_eq!(
        ask(&app, "/list?page=3").await.body,
        "/list?page=3 /list?page=3 by run 3"
    );
}

#[tokio::test]
async fn a_crowd_that_comes_before_the_first_answer_shares_nothing_it_may_not() {
    let larder = Larder::builder().build().await.unwrap();
    let gate = Gate::new();
    let inside = gate.clone();
    #[larder::cache(ttl = "1m", query("page"))]
    async fn slow(State(gate): State<Gate>, uri: Uri) -> String {
        gate.pass().await;
        uri.to_string()
    }
    // Declared in the table too, so that the crowd meets in flights.
    let table = Routes::new()
        .get("/slow", Policy::ttl(secs(9)))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/slow", get(slow))
        .with_state(inside)
        .layer(CacheLayer::new(&larder).routes(table));
    let mut crowd = JoinSet::new();
    for number in 0..20 {
        let app = app.clone();
        crowd.spawn(async move {
            let path = format!("/slow?page=1&own={}", number % 4);
            (ask(&app, &path).await.body, path)
        });
    }
    settle().await;
    gate.open();
    for (body, path) in crowd.join_all().await {
        assert_eq!(body, path);
    }
    assert_eq!(ask(&app, "/slow?page=1&own=9").await.body, "/slow?page=1");
    assert_eq!(larder.statistics().entries, 1);
}

#[tokio::test]
async fn a_declared_field_parts_the_answers_from_the_second_request_on() {
    let (_larder, app) = shop().await;
    let of = async |tenant: &'static str| {
        let mut request = request("/tenant");
        request
            .headers_mut()
            .insert("x-tenant", tenant.parse().unwrap());
        let seen = read(app.clone().oneshot(request).await.unwrap()).await;
        settle().await;
        seen.body
    };
    let mut seen = Vec::new();
    for tenant in ["a", "b", "a", "b", "a"] {
        seen.push(of(tenant).await);
    }
    assert_eq!(
        seen,
        [
            "a by run 1",
            "b by run 2",
            "a by run 3",
            "b by run 2",
            "a by run 3"
        ]
    );
}

#[tokio::test]
async fn errors_carry_no_policy() {
    let (larder, app) = shop().await;
    for run in 1..4 {
        let seen = ask(&app, "/fickle/error").await;
        assert_eq!(seen.headers["location"], format!("/by-run-{run}"));
    }
    assert_eq!(larder.statistics().entries, 0);
    // The same status as an answer that is meant so is kept, and the error still is not.
    for _ in 0..2 {
        assert_eq!(ask(&app, "/fickle/other").await.body, "by run 4");
    }
    let seen = ask(&app, "/fickle/error").await;
    assert_eq!(seen.headers["location"], "/by-run-5");
    assert_eq!(larder.statistics().entries, 1);
}

#[tokio::test]
async fn a_change_invalidates_what_its_handler_declares() {
    let (_larder, app) = shop().await;
    ask(&app, "/products/7").await;
    ask(&app, "/products/8").await;
    assert_eq!(
        change(&app, "/products/9/refuse").await,
        StatusCode::CONFLICT
    );
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 1");
    for (run, how) in [(3, "commit"), (5, "fail")] {
        // Both carry the tag `products`.
        change(&app, &format!("/products/7/{how}")).await;
        assert_eq!(
            ask(&app, "/products/7").await.body,
            format!("product 7 by run {run}")
        );
        assert_eq!(
            ask(&app, "/products/8").await.body,
            format!("product 8 by run {}", run + 1)
        );
    }
    assert_eq!(change(&app, "/rebuild").await, StatusCode::OK);
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 7");
}

#[tokio::test]
async fn a_parameter_that_the_route_does_not_have_widens_to_everything() {
    let (_larder, app) = shop().await;
    ask(&app, "/products/7").await;
    change(&app, "/mistaken").await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 2");
}

#[tokio::test]
async fn a_handler_that_panics_has_invalidated_what_it_declares() {
    let (_larder, app) = shop().await;
    ask(&app, "/products/7").await;
    let panicking = app.clone();
    let ended = tokio::spawn(async move { change(&panicking, "/products/7/panic").await }).await;
    assert!(ended.unwrap_err().is_panic());
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 2");
}

#[tokio::test]
async fn a_client_that_leaves_has_invalidated_what_its_handler_declares() {
    let (_larder, app) = shop().await;
    ask(&app, "/products/7").await;
    let leaving = app.clone();
    let client = tokio::spawn(async move { change(&leaving, "/products/7/wait").await });
    settle().await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 1");
    client.abort();
    settle().await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 2");
}

/// Some applications let handlers go on when their clients leave: each runs in a task of its own.
#[tokio::test]
async fn a_handler_in_a_task_of_its_own_invalidates_all_the_same() {
    let larder = Larder::builder().build().await.unwrap();
    let desk = Desk::new();
    let app = Router::new()
        .route("/products/{id}", get(product))
        .route("/products/{id}/{how}", put(update))
        .with_state(desk)
        .layer(axum::middleware::from_fn(
            |request, next: axum::middleware::Next| async move {
                tokio::spawn(next.run(request)).await.unwrap()
            },
        ))
        .layer(CacheLayer::new(&larder));
    ask(&app, "/products/7").await;
    let leaving = app.clone();
    let client = tokio::spawn(async move { change(&leaving, "/products/7/wait").await });
    settle().await;
    client.abort();
    settle().await;
    assert_eq!(ask(&app, "/products/7").await.body, "product 7 by run 2");
}

#[tokio::test]
async fn without_a_pattern_only_what_needs_none_is_kept() {
    let larder = Larder::builder().build().await.unwrap();
    let router = Router::new()
        .route("/list", get(list))
        .route("/plain", get(plain))
        .with_state(Desk::new());
    // Outside of the router nobody knows yet which handler will be found.
    let app = Router::new().fallback_service(
        tower::ServiceBuilder::new()
            .layer(CacheLayer::new(&larder))
            .service(router),
    );
    for run in 1..4 {
        let seen = ask(&app, "/list?page=1&evil=1").await;
        assert_eq!(
            seen.body,
            format!("/list?page=1&evil=1 /list?page=1&evil=1 by run {run}")
        );
        assert_eq!(seen.told(), "larder; fwd=uri-miss; detail=unkeyed");
    }
    for _ in 0..2 {
        assert_eq!(ask(&app, "/plain").await.body, "[4]");
    }
    let seen = ask(&app, "/list?page=1&evil=2").await;
    assert!(
        seen.body.contains("evil=2") && !seen.told().contains("hit"),
        "{seen:?}"
    );
}

#[larder::cache(ttl = "1m", tags("plain"))]
async fn plain(State(desk): State<Desk>) -> Json<[usize; 1]> {
    Json([desk.next()])
}

#[tokio::test]
async fn a_table_that_only_names_the_pattern_lets_its_handler_declare_the_rest() {
    let larder = Larder::builder().build().await.unwrap();
    let table = Routes::new().get("/list", Policy::new()).build().unwrap();
    let router = Router::new()
        .route("/list", get(list))
        .with_state(Desk::new());
    let app = Router::new().fallback_service(
        tower::ServiceBuilder::new()
            .layer(CacheLayer::new(&larder).routes(table))
            .service(router),
    );
    ask(&app, "/list?page=1&evil=1").await;
    for evil in ["evil=2", "evil=3"] {
        let seen = ask(&app, &format!("/list?page=1&{evil}")).await;
        assert_eq!(seen.body, "/list?page=1 /list?page=1 by run 2");
    }
}

#[tokio::test]
async fn handlers_that_share_a_pattern_never_key_for_each_other() {
    let larder = Larder::builder().build().await.unwrap();
    #[larder::cache(ttl = "1m", query("page"))]
    async fn first(uri: Uri) -> String {
        format!("first {uri}")
    }
    #[larder::cache(ttl = "1m", query("sort"))]
    async fn second(uri: Uri) -> String {
        format!("second {uri}")
    }
    let both = Router::new()
        .route("/both/1", get(first))
        .route("/both/2", get(second));
    let both = tower::ServiceBuilder::new()
        .map_request(|request: Request<Body>| request)
        .service(both);
    let app = Router::new()
        .route_service("/both/{which}", both)
        .layer(CacheLayer::new(&larder));
    ask(&app, "/both/1?page=1&sort=1").await;
    ask(&app, "/both/2?page=1&sort=1").await;
    for path in ["/both/1?page=1&sort=2", "/both/2?page=2&sort=1"] {
        assert!(ask(&app, path).await.body.ends_with(path), "{path}");
    }
    assert_eq!(larder.statistics().entries, 0);
}

#[tokio::test]
async fn a_hint_of_the_handler_wins_over_what_stands_on_it() {
    #[larder::cache(ttl = "1m", tags("declared"))]
    async fn hinted() -> impl IntoResponse {
        (larder::CacheHint::ttl(secs(5)).tag("hinted"), "a")
    }
    let larder = Larder::builder().build().await.unwrap();
    let app = Router::new()
        .route("/hinted", get(hinted))
        .layer(CacheLayer::new(&larder).policy(&Policy::ttl(mins(9))));
    for tag in ["declared", "hinted"] {
        ask(&app, "/hinted").await;
        assert_eq!(
            ask(&app, "/hinted").await.told(),
            "larder; hit; ttl=5; detail=MEMORY"
        );
        larder.invalidate_tag(tag).await;
        assert!(!ask(&app, "/hinted").await.told().contains("hit"));
        larder.invalidate_tag(tag).await;
    }
}
