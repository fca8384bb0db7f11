//! Two nodes over one real server.

mod leaving;
mod locked;
mod starting;
mod without;

use std::{
    convert::Infallible,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};

use super::*;
use crate::{CacheLayer, Larder, Policy, Redis, Routes, secs, store::redis::tests::server::Server};

type Body = Full<Bytes>;
type Handler = dyn Fn(&Request<Body>) -> Response<Body> + Send + Sync;

/// What a handler says, and how often it was asked.
#[derive(Clone)]
struct Origin {
    handler: Arc<Mutex<Arc<Handler>>>,
    runs: Arc<AtomicUsize>,
    /// The runs that wait with their answers, and what they wait for.
    gate: Option<(RangeInclusive<usize>, Arc<Semaphore>)>,
}

impl Origin {
    fn new(handler: impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self {
            handler: Arc::new(Mutex::new(Arc::new(handler))),
            runs: Arc::default(),
            gate: None,
        }
    }

    /// Lets the run of this number wait with its answer for a permit.
    fn gated(self, run: usize) -> (Self, Arc<Semaphore>) {
        self.gated_within(run..=run)
    }

    /// Lets all runs from this number on wait for a permit each.
    fn gated_from(self, run: usize) -> (Self, Arc<Semaphore>) {
        self.gated_within(run..=usize::MAX)
    }

    fn gated_within(mut self, runs: RangeInclusive<usize>) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        self.gate = Some((runs, Arc::clone(&gate)));
        (self, gate)
    }

    fn says(body: &'static str) -> Self {
        Self::new(move |_| Response::new(body.into()))
    }

    fn change(&self, handler: impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static) {
        *self.handler.lock().unwrap() = Arc::new(handler);
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl tower_service::Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        let handler = Arc::clone(&self.handler.lock().unwrap());
        let (answer, gate) = (handler(&request), self.gate.clone());
        Box::pin(async move {
            if let Some((_, gate)) = gate.filter(|(gated, _)| gated.contains(&run)) {
                gate.acquire().await.unwrap().forget();
            }
            Ok(answer)
        })
    }
}

/// A larder over an origin.
#[derive(Clone)]
struct Node {
    larder: Larder,
    layer: CacheLayer,
    origin: Origin,
}

/// What a client got.
#[derive(Debug)]
struct Got {
    status: StatusCode,
    told: String,
    body: Bytes,
}

impl Node {
    async fn new(server: &Server, origin: &Origin, policy: Policy) -> Self {
        // These tests are about what is found, not about how fast a busy machine is.
        let redis = Redis::new(server.url()).budget(Duration::from_secs(5));
        let node = Self::with(redis, origin, policy).await;
        node.in_sync().await;
        node
    }

    /// Waits until it knows the registry.
    async fn in_sync(&self) {
        eventually(|| self.larder.statistics().shared.sync_age.is_some()).await;
    }

    async fn with(redis: Redis, origin: &Origin, policy: Policy) -> Self {
        let larder = Larder::builder().redis(redis).build().await.unwrap();
        Self::of(larder, origin, policy)
    }

    fn of(larder: Larder, origin: &Origin, policy: Policy) -> Self {
        let routes = Routes::new().get("/{*path}", policy).build().unwrap();
        Self {
            layer: CacheLayer::new(&larder).routes(routes),
            larder,
            origin: origin.clone(),
        }
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(Request::get(path)).await
    }

    async fn ask(&self, request: http::request::Builder) -> Got {
        let request = request
            .header("host", "shop.test")
            .body(Body::default())
            .unwrap();
        let layered = self.layer.layer(self.origin.clone());
        let response = layered.oneshot(request).await.unwrap();
        let told = response.headers().get("cache-status");
        let told = told.map_or("", |value| value.to_str().unwrap()).to_owned();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Got { status, told, body }
    }

    /// Waits until what was put is written.
    async fn flush(&self) {
        self.larder.core().second.as_ref().unwrap().flush().await;
    }
}

/// Lets a client ask a node for `/a`.
fn asking(node: &Node) -> tokio::task::JoinHandle<Got> {
    let node = node.clone();
    tokio::spawn(async move { node.get("/a").await })
}

/// A response that is good for so many seconds.
fn good_for(seconds: u32, body: &'static str) -> Response<Body> {
    Response::builder()
        .header("cache-control", format!("max-age={seconds}"))
        .body(body.into())
        .unwrap()
}

#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let (began, place) = (tokio::time::Instant::now(), std::panic::Location::caller());
    async move {
        while !holds() {
            let waited = began.elapsed();
            assert!(waited < Duration::from_secs(10), "never came: {place}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_one_node_has_filled_the_other_serves_first_from_redis_and_then_from_memory() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    assert_eq!(one.get("/a").await.body, "hello");
    one.flush().await;

    let got = other.get("/a").await;
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
    assert!(got.told.contains("larder; hit"), "{}", got.told);
    assert!(got.told.contains("detail=REDIS"), "{}", got.told);
    let got = other.get("/a").await;
    assert!(got.told.contains("detail=MEMORY"), "{}", got.told);
    assert_eq!(origin.runs(), 1);
    let statistics = other.larder.statistics();
    assert_eq!(statistics.requests(Outcome::Hit), 2);
    assert_eq!(statistics.redis.hits, 1);
    assert_eq!(one.larder.statistics().redis.written, 1);
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_look_up() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.flush().await;
    server.freeze();
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let other = other.clone();
            tokio::spawn(async move { other.get("/a").await })
        })
        .collect();
    eventually(|| other.larder.statistics().flights == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.thaw();
    for got in crowd {
        assert_eq!(got.await.unwrap().body, "hello");
    }
    assert_eq!(other.larder.statistics().redis.hits, 1);
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn variants_are_found_on_the_other_node() {
    let server = Server::start();
    let origin = Origin::new(|request| {
        let language = request.headers()["accept-language"].to_str().unwrap();
        Response::builder()
            .header("vary", "accept-language")
            .body(language.to_owned().into())
            .unwrap()
    });
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let ask = |value| Request::get("/a").header("accept-language", value);
    for value in ["de", "fr"] {
        one.ask(ask(value)).await;
    }
    one.flush().await;
    for value in ["de", "fr", "de"] {
        assert_eq!(other.ask(ask(value)).await.body, value);
    }
    assert_eq!(origin.runs(), 2);
    assert_eq!(other.ask(ask("it")).await.body, "it");
    assert_eq!(origin.runs(), 3);
}

#[tokio::test]
async fn a_head_is_answered_and_a_condition_is_met_out_of_redis() {
    let server = Server::start();
    let origin = Origin::new(|_| {
        let mut response = good_for(60, "hello");
        response
            .headers_mut()
            .insert("etag", "\"1\"".parse().unwrap());
        response
    });
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.flush().await;
    let head = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let got = head.ask(Request::head("/a")).await;
    assert!(got.body.is_empty() && got.told.contains("REDIS"), "{got:?}");
    let conditional = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let got = conditional
        .ask(Request::get("/a").header("if-none-match", "\"1\""))
        .await;
    assert_eq!(got.status, StatusCode::NOT_MODIFIED);
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_part_of_a_page_is_cut_out_of_what_another_node_has_stored() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.flush().await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let got = other
        .ask(Request::get("/a").header("range", "bytes=1-2"))
        .await;
    assert_eq!(
        (got.status, &*got.body),
        (StatusCode::PARTIAL_CONTENT, &b"el"[..])
    );
    assert!(got.told.contains("REDIS"), "{}", got.told);
    assert_eq!(origin.runs(), 1);
    // What nobody has stored is the handler's to cut, and is not stored.
    for runs in [2, 3] {
        let got = other
            .ask(Request::get("/b").header("range", "bytes=1-2"))
            .await;
        assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
        assert!(got.told.contains("fwd=bypass"), "{}", got.told);
        assert_eq!(origin.runs(), runs);
    }
}

#[tokio::test]
async fn what_is_wanted_only_if_it_is_stored_may_be_stored_by_another_node() {
    let server = Server::start();
    let origin = Origin::new(|_| good_for(60, "hello"));
    let gateway = |node: &Node| Node {
        layer: CacheLayer::gateway(&node.larder),
        ..node.clone()
    };
    let one = gateway(&Node::new(&server, &origin, Policy::new()).await);
    one.get("/a").await;
    one.flush().await;
    let other = gateway(&Node::new(&server, &origin, Policy::new()).await);
    let only = |path| Request::get(path).header("cache-control", "only-if-cached");
    let got = other.ask(only("/b")).await;
    assert_eq!(got.status, StatusCode::GATEWAY_TIMEOUT);
    let got = other.ask(only("/a")).await;
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
    assert!(got.told.contains("REDIS"), "{}", got.told);
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn what_is_stale_in_redis_is_confirmed_and_not_fetched_again() {
    let server = Server::start();
    let origin = Origin::new(|request| {
        let known = request.headers().get("if-none-match");
        let known = known.is_some_and(|tag| tag == "\"1\"");
        Response::builder()
            .status(if known { 304 } else { 200 })
            .header("etag", "\"1\"")
            .header(
                "cache-control",
                if known { "max-age=60" } else { "max-age=1" },
            )
            .body(if known { "" } else { "hello" }.into())
            .unwrap()
    });
    let one = Node::new(&server, &origin, Policy::new()).await;
    one.get("/a").await;
    one.flush().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let other = Node::new(&server, &origin, Policy::new()).await;
    let got = other.get("/a").await;
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
    assert!(got.told.contains("fwd-status=304"), "{}", got.told);
    assert_eq!(origin.runs(), 2);
    // What was confirmed goes to the second tier as well.
    other.flush().await;
    let third = Node::new(&server, &origin, Policy::new()).await;
    assert!(third.get("/a").await.told.contains("REDIS"));
}

#[tokio::test]
async fn what_is_stale_in_redis_is_served_within_its_window_and_made_new_behind_the_answer() {
    let server = Server::start();
    let origin = Origin::new(|_| good_for(1, "old"));
    let policy = || Policy::new().stale_while_revalidate(secs(60));
    let one = Node::new(&server, &origin, policy()).await;
    one.get("/a").await;
    one.flush().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    origin.change(|_| good_for(60, "new"));
    let other = Node::new(&server, &origin, policy()).await;
    let got = other.get("/a").await;
    assert_eq!(got.body, "old");
    assert!(got.told.contains("REDIS"), "{}", got.told);
    eventually(|| origin.runs() == 2).await;
    eventually(|| other.larder.statistics().flights == 0).await;
    assert_eq!(other.get("/a").await.body, "new");
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn a_refresh_takes_what_another_node_has_made_new() {
    let server = Server::start();
    let origin = Origin::new(|_| good_for(1, "old"));
    let policy = || Policy::new().stale_while_revalidate(secs(60));
    let one = Node::new(&server, &origin, policy()).await;
    let other = Node::new(&server, &origin, policy()).await;
    one.get("/a").await;
    one.flush().await;
    other.get("/a").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    origin.change(|_| good_for(60, "new"));
    one.get("/a").await;
    eventually(|| origin.runs() == 2).await;
    eventually(|| one.larder.statistics().flights == 0).await;
    one.flush().await;
    assert_eq!(other.get("/a").await.body, "old");
    eventually(|| other.larder.statistics().flights == 0).await;
    assert_eq!(other.get("/a").await.body, "new");
    assert_eq!(origin.runs(), 2, "the refresh ran the handler");
}

#[tokio::test]
async fn what_is_stale_in_redis_stands_in_for_a_handler_that_fails() {
    let server = Server::start();
    let origin = Origin::new(|_| good_for(1, "old"));
    let policy = || Policy::new().stale_if_error(secs(60));
    let one = Node::new(&server, &origin, policy()).await;
    one.get("/a").await;
    one.flush().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    origin.change(|_| Response::builder().status(503).body("down".into()).unwrap());
    let other = Node::new(&server, &origin, policy()).await;
    let got = other.get("/a").await;
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"old"[..]));
}

#[tokio::test]
async fn what_may_no_longer_be_stored_leaves_redis_too() {
    let server = Server::start();
    let origin = Origin::new(|_| good_for(1, "old"));
    let policy = || Policy::new().stale_if_error(secs(60));
    let one = Node::new(&server, &origin, policy()).await;
    one.get("/a").await;
    one.flush().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    origin.change(|_| Response::builder().status(404).body("gone".into()).unwrap());
    let got = one.get("/a").await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    one.flush().await;
    origin.change(|_| Response::builder().status(503).body("down".into()).unwrap());
    let other = Node::new(&server, &origin, policy()).await;
    assert_eq!(
        other.get("/a").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_large_body_goes_to_redis_once_and_packed() {
    let server = Server::start();
    let origin = Origin::new(|_| {
        Response::builder()
            .header("content-type", "text/plain")
            .body("a".repeat(100_000).into())
            .unwrap()
    });
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    eventually(|| one.larder.statistics().redis.written == 1).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let got = other.get("/a").await;
    assert_eq!(got.body.len(), 100_000);
    assert!(got.told.contains("REDIS"), "{}", got.told);
    let core = other.larder.core();
    assert!(core.store.weight() < 60_000 + (1 << 20), "it is not packed");
    assert_eq!(one.larder.statistics().redis.written, 1);
}

#[tokio::test]
async fn a_flood_of_variants_stays_out_of_redis() {
    let server = Server::start();
    let origin = Origin::new(|_| {
        Response::builder()
            .header("vary", "x-a")
            .body("a".into())
            .unwrap()
    });
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    for value in 0..100 {
        node.ask(Request::get("/a").header("x-a", value)).await;
    }
    node.flush().await;
    assert_eq!(node.larder.statistics().redis.written, 16);
}
