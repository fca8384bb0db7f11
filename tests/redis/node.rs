//! A node: a handle and a layer of its own over a truth that several nodes share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use larder::{
    Ack, CacheBody, CacheLayer, Consistency, Invalidate, Larder, LarderBuilder, Policy, Redis,
    Routes, mins,
};
use tokio::sync::{Notify, Semaphore};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

use crate::scene::has_lock;

type App =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<CacheBody<Full<Bytes>>>, std::io::Error>;

/// Within this time what has to happen soon has happened, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(10);

/// What the handlers of all nodes read and change.
#[derive(Debug)]
pub(crate) struct Truth {
    version: AtomicU64,
    runs: AtomicU64,
    /// Handlers take a permit after they have read; there are plenty unless a test takes them away.
    gate: Semaphore,
    has_read: Notify,
}

impl Truth {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(1),
            runs: AtomicU64::new(0),
            gate: Semaphore::new(Self::OPEN),
            has_read: Notify::new(),
        })
    }

    const OPEN: usize = 1_000_000;

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Changes it without a word to any cache.
    pub(crate) fn change(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Makes handlers wait between reading and answering.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(Self::OPEN);
    }

    pub(crate) fn open(&self) {
        self.gate.add_permits(Self::OPEN);
    }

    /// Lets one handler answer.
    pub(crate) fn open_for_one(&self) {
        self.gate.add_permits(1);
    }

    /// Waits until a handler has read.
    pub(crate) async fn read(&self) {
        self.has_read.notified().await;
    }

    async fn handle(&self, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
        let version = if *request.method() == Method::GET {
            self.runs.fetch_add(1, Ordering::SeqCst);
            let version = self.version();
            self.has_read.notify_one();
            self.gate.acquire().await.unwrap().forget();
            version
        } else {
            self.version.fetch_add(1, Ordering::SeqCst) + 1
        };
        Response::new(Full::from(version.to_string()))
    }
}

/// One node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) larder: Larder,
    app: App,
}

impl Node {
    /// Starts a node on this Redis and waits until it knows the registry.
    pub(crate) async fn start(
        redis: impl Into<Redis>,
        truth: &Arc<Truth>,
        consistency: Consistency,
    ) -> Self {
        let node = Self::alone(redis, truth, consistency).await;
        node.in_sync().await;
        node
    }

    /// Starts a node without waiting for Redis.
    pub(crate) async fn alone(
        redis: impl Into<Redis>,
        truth: &Arc<Truth>,
        consistency: Consistency,
    ) -> Self {
        let builder = Larder::builder().redis(redis).consistency(consistency);
        Self::build(builder, truth).await
    }

    pub(crate) async fn build(builder: LarderBuilder, truth: &Arc<Truth>) -> Self {
        let larder = builder.flight_lock(has_lock()).build().await.unwrap();
        let routes = Routes::new()
            .get("/items/{id}", Policy::ttl(mins(10)).tag("item:{id}"))
            .get("/plain/{id}", Policy::ttl(mins(10)))
            .on("PUT /items/{id}", Invalidate::tags(["item:{id}"]))
            .build()
            .unwrap();
        let layer = CacheLayer::new(&larder).routes(routes);
        let truth = Arc::clone(truth);
        let handler = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let truth = Arc::clone(&truth);
            async move { Ok::<_, std::io::Error>(truth.handle(request).await) }
        });
        Self {
            larder,
            app: BoxCloneSyncService::new(layer.layer(handler)),
        }
    }

    /// Returns the version that a GET is answered with.
    pub(crate) async fn get(&self, path: &str) -> u64 {
        self.ask(Method::GET, path).await.0
    }

    /// Changes the truth, and returns the new version and how that was acknowledged.
    pub(crate) async fn put(&self, path: &str) -> (u64, Ack) {
        let (version, ack) = self.ask(Method::PUT, path).await;
        (version, ack.unwrap())
    }

    async fn ask(&self, method: Method, path: &str) -> (u64, Option<Ack>) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://a.test{path}"))
            .body(Full::default())
            .unwrap();
        let mut app = self.app.clone();
        let response = app.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let ack = response.extensions().get::<Ack>().copied();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (String::from_utf8_lossy(&body).parse().unwrap(), ack)
    }

    /// Waits until what is known here of invalidations is fresh.
    pub(crate) async fn in_sync(&self) {
        self.until("in sync", |node| {
            let age = node.larder.statistics().shared.sync_age;
            age.is_some_and(|age| age < Duration::from_millis(900))
        })
        .await;
    }

    /// Waits until what is known here of invalidations is not fresh any more.
    pub(crate) async fn out_of_sync(&self) {
        self.until("out of sync", |node| {
            let age = node.larder.statistics().shared.sync_age;
            age.is_none_or(|age| age > Duration::from_secs(1))
        })
        .await;
    }

    /// Waits until `is_so`.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(
                began.elapsed() < SOON,
                "not {what}: {:?}",
                self.larder.statistics()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn epochs(&self) -> u64 {
        self.larder.statistics().shared.epochs
    }

    /// Returns how many responses were void for that reason.
    pub(crate) fn fenced_by(&self, reason: &str) -> u64 {
        let reasons = self.larder.statistics().fenced_by();
        reasons.iter().find(|(name, _)| *name == reason).unwrap().1
    }

    pub(crate) fn pending(&self) -> usize {
        self.larder.statistics().shared.pending
    }
}
