//! What does a hit on the second tier cost beside a plain GET of the same bytes?
//!
//! `cargo bench --all-features --bench redis`. Starts a redis-server of its own. One node fills the
//! second tier; other nodes, whose own memory is empty, ask for each page once, so that each answer
//! is a look-up in Redis, a decoded and promoted response, and an answer over HTTP types. The plain
//! way takes the same values over as many multiplexed connections and throws them away. Both are
//! measured in turns, and the best of the rounds counts; commands are counted by the server.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark may panic, prints its figures and takes the time"
)]

use std::{
    convert::Infallible,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use larder::{CacheLayer, Larder, Policy, Redis, Routes, mins};
use redis::aio::MultiplexedConnection;
use tower::{Layer, ServiceExt};

/// How many connections both sides have.
const LANES: usize = 2;

/// How often each side is measured.
const ROUNDS: usize = 5;

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
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

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn larder(server: &Server) -> Larder {
    let redis = Redis::new(server.url()).budget(Duration::from_secs(10));
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

/// Asks for every page once, `callers` at a time, and returns how long that took.
async fn ask(larder: &Larder, pages: usize, size: usize, callers: usize) -> Duration {
    let routes = Routes::new().get("/{page}", Policy::ttl(mins(60)));
    let layer = CacheLayer::new(larder).routes(routes.build().unwrap());
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (layer, next) = (layer.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let page = next.fetch_add(1, Ordering::Relaxed);
                    if page >= pages {
                        return;
                    }
                    let handler = tower::service_fn(move |_: Request<()>| async move {
                        let body = Full::new(Bytes::from(vec![b'a'; size]));
                        Ok::<_, Infallible>(Response::new(body))
                    });
                    let request = Request::get(format!("/{page}"))
                        .header("host", "shop.test")
                        .body(())
                        .unwrap();
                    let response = layer.layer(handler).oneshot(request).await.unwrap();
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

/// Takes the values of `names` over multiplexed connections, `callers` at a time.
async fn take(lanes: &[MultiplexedConnection], names: &Arc<[String]>, callers: usize) -> Duration {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (names, next) = (Arc::clone(names), Arc::clone(&next));
            let mut lane = lanes[caller % lanes.len()].clone();
            tokio::spawn(async move {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let get: Option<Vec<u8>> = redis::cmd("GET")
                        .arg(name)
                        .query_async(&mut lane)
                        .await
                        .unwrap();
                    assert!(get.is_some());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    began.elapsed()
}

/// Returns how often the server has been asked for a value since the counts were reset.
async fn gets(lane: &mut MultiplexedConnection) -> String {
    let told: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(lane)
        .await
        .unwrap();
    let line = told.lines().find(|line| line.starts_with("cmdstat_get:"));
    let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
    calls.unwrap_or("0").to_owned()
}

async fn compare(size: usize, pages: usize) {
    let server = Server::start();
    let client = redis::Client::open(server.url()).unwrap();
    let mut lanes = Vec::new();
    while lanes.len() < LANES {
        match client.get_multiplexed_async_connection().await {
            Ok(lane) => lanes.push(lane),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let filling = larder(&server).await;
    ask(&filling, pages, size, 16).await;
    filling.shutdown(Duration::from_secs(30)).await;
    let names = "return redis.call('SCAN', 0, 'MATCH', 'larder:larder:e:*', 'COUNT', 1000000)[2]";
    let names: Vec<String> = redis::cmd("EVAL")
        .arg(names)
        .arg(0)
        .query_async(&mut lanes[0])
        .await
        .unwrap();
    println!("{size} bytes: {} of {pages} pages are there", names.len());
    let names: Arc<[String]> = names.into();
    for callers in [1, 16, 64, 256] {
        let (mut hit, mut plain) = (Duration::MAX, Duration::MAX);
        let mut asked = String::new();
        for _ in 0..ROUNDS {
            plain = plain.min(take(&lanes, &names, callers).await);
            let node = larder(&server).await;
            let reset = redis::cmd("CONFIG")
                .arg("RESETSTAT")
                .exec_async(&mut lanes[0])
                .await;
            reset.unwrap();
            hit = hit.min(ask(&node, pages, size, callers).await);
            asked = gets(&mut lanes[0]).await;
            node.shutdown(Duration::from_secs(5)).await;
        }
        let each = |took: Duration| took.as_secs_f64() * 1e6 / pages as f64;
        println!(
            "{size:7} bytes {callers:4} callers: {:8.1} us a hit, {:8.1} us a plain GET, {:.2} of its rate, {asked} GETs for {pages} hits",
            each(hit),
            each(plain),
            plain.as_secs_f64() / hit.as_secs_f64(),
        );
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        compare(1 << 10, 5000).await;
        compare(16 << 10, 2000).await;
        compare(256 << 10, 200).await;
    });
}
