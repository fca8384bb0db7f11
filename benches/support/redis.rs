//! What is measured of hits on a second tier, whoever answers them.
//!
//! A server of its own; a handler that counts its runs, since a hit that ran it is none; callers that
//! ask for every page once; and the plain way, which takes the same values over multiplexed connections
//! and throws them away.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use larder::{Larder, Redis};
use redis::aio::MultiplexedConnection;
use tower::{Service, ServiceExt};

/// How many connections the plain way has, which are as many as larder has by default.
pub(crate) const LANES: usize = 2;

/// How many callers ask at a time.
pub(crate) const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// How large the bodies are, and how many pages of each there are.
pub(crate) const SIZES: [(usize, usize); 3] = [(1 << 10, 5000), (16 << 10, 2000), (256 << 10, 200)];

/// A redis-server, ended with its handle.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Answers with so many bytes.
#[derive(Clone)]
pub(crate) struct Handler {
    size: usize,
    runs: Arc<AtomicUsize>,
}

impl Handler {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            runs: Arc::default(),
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let body = Full::new(Bytes::from(vec![b'a'; self.size]));
        ready(Ok(Response::new(body)))
    }
}

/// Asks for every page once, `callers` at a time, and returns how long that took.
pub(crate) async fn ask<S, B>(service: &S, pages: usize, callers: usize) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Debug + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Debug,
{
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (service, next) = (service.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let page = next.fetch_add(1, Ordering::Relaxed);
                    if page >= pages {
                        return;
                    }
                    let request = Request::get(format!("/{page}"))
                        .header("host", "shop.test")
                        .body(Full::default())
                        .unwrap();
                    let response = service.clone().oneshot(request).await.unwrap();
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    began.elapsed()
}

/// The plain way to the values of a server.
pub(crate) struct Plain {
    lanes: Vec<MultiplexedConnection>,
    names: Arc<[String]>,
}

impl Plain {
    /// Connects, as soon as the server is there.
    pub(crate) async fn at(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut lanes = Vec::new();
        while lanes.len() < LANES {
            match client.get_multiplexed_async_connection().await {
                Ok(lane) => lanes.push(lane),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Self {
            lanes,
            names: Arc::default(),
        }
    }

    /// Learns the names of all pages that larder has written, and returns how many there are.
    pub(crate) async fn learn(&mut self) -> usize {
        let names =
            "return redis.call('SCAN', 0, 'MATCH', 'larder:larder:e:*', 'COUNT', 1000000)[2]";
        let names: Vec<String> = redis::cmd("EVAL")
            .arg(names)
            .arg(0)
            .query_async(&mut self.lanes[0])
            .await
            .unwrap();
        self.names = names.into();
        self.names.len()
    }

    /// Takes every value once, `callers` at a time, and returns how long that took.
    pub(crate) async fn take(&self, callers: usize) -> Duration {
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let (names, next) = (Arc::clone(&self.names), Arc::clone(&next));
                let mut lane = self.lanes[caller % LANES].clone();
                tokio::spawn(async move {
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut get = redis::cmd("GET");
                        get.arg(name);
                        let got: Option<Vec<u8>> = get.query_async(&mut lane).await.unwrap();
                        assert!(got.is_some());
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        began.elapsed()
    }

    /// Has the server count from zero.
    pub(crate) async fn reset(&self) {
        let mut lane = self.lanes[0].clone();
        let mut reset = redis::cmd("CONFIG");
        reset.arg("RESETSTAT");
        reset.exec_async(&mut lane).await.unwrap();
    }

    /// Returns how often the server was asked for a value since, and how often it read from a
    /// connection, which with one caller is the number of round trips.
    pub(crate) async fn counted(&self) -> Counted {
        let mut lane = self.lanes[0].clone();
        let mut question = redis::cmd("INFO");
        question.arg("all");
        let told: String = question.query_async(&mut lane).await.unwrap();
        let calls = |command: &str| {
            let start = format!("cmdstat_{command}:calls=");
            let line = told.lines().find_map(|line| line.strip_prefix(&start));
            number(line)
        };
        let reads = told
            .lines()
            .find_map(|line| line.strip_prefix("total_reads_processed:"));
        Counted {
            commands: [
                "get", "getrange", "hmget", "pttl", "hget", "hgetall", "mget", "ttl",
            ]
            .iter()
            .map(|command| calls(command))
            .sum(),
            reads: number(reads),
        }
    }
}

/// What a server has counted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) commands: usize,
    pub(crate) reads: usize,
}

fn number(text: Option<&str>) -> usize {
    let digits = text.and_then(|text| text.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Starts a node of larder with an empty memory, and waits until it knows what was invalidated.
pub(crate) async fn node(server: &Server) -> Larder {
    let patient = Duration::from_secs(10);
    let redis = Redis::new(server.url())
        .budget(patient)
        .background_budget(patient);
    let larder = Larder::builder()
        .memory_bytes(1 << 30)
        .redis(redis)
        .build()
        .await
        .unwrap();
    while larder.statistics().shared.sync_age.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    larder
}
