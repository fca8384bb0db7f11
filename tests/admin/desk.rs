//! An application with admin routes, in process, and a clock that a test moves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    routing::{get, post},
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use larder::{
    CacheLayer, Invalidate, Larder, LarderBuilder, Policy, Routes, TestClock,
    admin::{Admin, Auth},
    mins, secs,
};
use serde_json::Value;
use tower::ServiceExt;

use crate::document;

pub(crate) const TOKEN: &str = "a long random text";

pub(crate) struct Desk {
    pub(crate) larder: Larder,
    pub(crate) clock: TestClock,
    app: Router,
    runs: Arc<AtomicUsize>,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::of(Larder::builder()).await
    }

    /// The same as one node of several that share what the builder names.
    pub(crate) async fn of(builder: LarderBuilder) -> Self {
        let clock = TestClock::new();
        let larder = builder.clock(clock.clone()).build().await.unwrap();
        let policy = Policy::ttl(mins(5)).stale_while_revalidate(secs(60));
        let routes = Routes::new()
            .get("/items/{id}", policy.clone().tags(["item:{id}", "items"]))
            .get("/pages/{*rest}", policy)
            .on("PUT /items/{id}", Invalidate::tags(["item:{id}", "items"]))
            .build()
            .unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let run = || {
            let runs = Arc::clone(&runs);
            move |Path(name): Path<String>| async move {
                let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
                format!("{name} by run {run}")
            }
        };
        let app = Router::new()
            .route("/items/{id}", get(run()).put(|| async {}))
            .route("/pages/{*rest}", get(run()))
            .route(
                "/broken",
                get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            )
            .route("/plain", post(|| async {}).get(|| async { "plain" }))
            .layer(CacheLayer::new(&larder).routes(routes));
        let admin = Admin::new(&larder, Auth::bearer(TOKEN)).through(app.clone());
        Self {
            larder,
            clock,
            app: app.nest("/admin/cache", admin.router()),
            runs,
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// Asks the application for a page, on the host that all tests use.
    pub(crate) async fn visit(&self, method: &str, path: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shop.test");
        let response = self.send(request.body(Body::empty()).unwrap()).await;
        let told = response.headers().get("cache-status");
        let told = told.map_or("", |value| value.to_str().unwrap()).to_owned();
        text(response).await;
        told
    }

    /// Looks at an admin route.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Changes something by an admin route.
    pub(crate) async fn change(&self, path: &str, order: Value) -> Value {
        let (status, value) = self.ask("POST", path, Some(order)).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Returns with what a change is refused.
    pub(crate) async fn refused(&self, path: &str, order: Value) -> u16 {
        let (status, value) = self.ask("POST", path, Some(order)).await;
        assert!(value["error"].is_string(), "{path}: {status} {value}");
        status
    }

    /// Returns the status and the answer of a call, which is as the document says.
    pub(crate) async fn ask(&self, method: &str, path: &str, order: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/cache{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("x-larder-admin", "1")
            .header("content-type", "application/json");
        let body = order.map_or(Body::empty(), |order| Body::from(order.to_string()));
        let response = self.send(request.body(body).unwrap()).await;
        let status = response.status().as_u16();
        let answer = serde_json::from_str(&text(response).await).unwrap();
        document::check(method, path, status, &answer);
        (status, answer)
    }
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
