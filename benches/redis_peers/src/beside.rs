//! How long does a small page take while somebody asks for large ones?
//!
//! Sixteen callers ask for pages of a kilobyte, over and over, for a second: first alone, then while one
//! more asks for a page of nearly a mebibyte every ten milliseconds. What counts is how much longer the
//! slowest hundredth of the small ones takes then, once by larder and once by plain GETs of the same
//! values over as many connections. Of the rounds the middle one is told.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};

use super::{
    harness::{Handler, LANES, Plain, Server, node},
    layer,
};

const SMALL: usize = 1 << 10;
const SMALL_PAGES: usize = 1000;
/// With its head it is just below what larder sends to Redis at all.
const LARGE: usize = (1 << 20) - (4 << 10);
const LARGE_PAGES: usize = 16;
const CALLERS: usize = 16;
const ROUND: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Asks for a page, small or large.
trait Ask: Clone + Send + 'static {
    fn small(&self, page: usize) -> impl Future<Output = ()> + Send;
    fn large(&self, page: usize) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
struct Cached<S> {
    small: S,
    large: S,
}

impl<S, B> Ask for Cached<S>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug + Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Debug,
{
    async fn small(&self, page: usize) {
        ask(&self.small, page, SMALL).await;
    }

    async fn large(&self, page: usize) {
        ask(&self.large, SMALL_PAGES + page, LARGE).await;
    }
}

async fn ask<S, B>(service: &S, page: usize, length: usize)
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let request = Request::get(format!("/{page}"))
        .header("host", "shop.test")
        .body(Full::default())
        .unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), length);
}

#[derive(Clone)]
struct Raw {
    lanes: Vec<redis::aio::MultiplexedConnection>,
    small: Arc<[String]>,
    large: Arc<[String]>,
    turn: Arc<AtomicUsize>,
}

impl Raw {
    /// Connects as often as larder does, and learns the names of what larder has written.
    async fn at(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut lanes = Vec::new();
        for _ in 0..LANES {
            lanes.push(client.get_multiplexed_async_connection().await.unwrap());
        }
        let names = "local names = {}
             for _, name in ipairs(redis.call('SCAN', 0, 'MATCH', 'larder:larder:e:*', 'COUNT', 1000000)[2]) do
                 if (redis.call('STRLEN', name) >= tonumber(ARGV[1])) == (ARGV[2] == 'large') then
                     names[#names + 1] = name
                 end
             end
             return names";
        let mut of = Vec::new();
        for kind in ["small", "large"] {
            let mut question = redis::cmd("EVAL");
            question.arg(names).arg(0).arg(LARGE).arg(kind);
            let names: Vec<String> = question.query_async(&mut lanes[0]).await.unwrap();
            of.push(Arc::from(names));
        }
        Self {
            lanes,
            large: of.remove(1),
            small: of.remove(0),
            turn: Arc::default(),
        }
    }

    async fn get(&self, name: &str) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut lane = self.lanes[turn % self.lanes.len()].clone();
        let mut get = redis::cmd("GET");
        get.arg(name);
        let got: Option<Vec<u8>> = get.query_async(&mut lane).await.unwrap();
        assert!(got.is_some());
    }
}

impl Ask for Raw {
    async fn small(&self, page: usize) {
        self.get(&self.small[page % self.small.len()]).await;
    }

    async fn large(&self, page: usize) {
        self.get(&self.large[page % self.large.len()]).await;
    }
}

/// Returns in which time all but the slowest hundredth of the small pages come.
async fn slowest(asked: &impl Ask, beside_large: bool) -> Duration {
    let goes_on = Arc::new(AtomicBool::new(true));
    let large = beside_large.then(|| {
        let (asked, goes_on) = (asked.clone(), Arc::clone(&goes_on));
        tokio::spawn(async move {
            for page in (0..LARGE_PAGES).cycle() {
                if !goes_on.load(Ordering::Relaxed) {
                    return;
                }
                asked.large(page).await;
                tokio::time::sleep(PAUSE).await;
            }
        })
    });
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let asked = asked.clone();
            tokio::spawn(async move {
                let (began, mut took) = (Instant::now(), Vec::new());
                for page in (0..SMALL_PAGES).cycle().skip(caller * 61) {
                    if began.elapsed() > ROUND {
                        break;
                    }
                    let sent = Instant::now();
                    asked.small(page).await;
                    took.push(sent.elapsed());
                }
                took
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    goes_on.store(false, Ordering::Relaxed);
    if let Some(large) = large {
        large.await.unwrap();
    }
    all.sort_unstable();
    all[all.len() * 99 / 100]
}

async fn measure(name: &str, asked: &impl Ask, rounds: usize) {
    let mut ratios = Vec::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = slowest(asked, false).await;
        let beside = slowest(asked, true).await;
        ratios.push(beside.as_secs_f64() / alone.as_secs_f64());
        without.push(alone);
        with.push(beside);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    without.sort_unstable();
    with.sort_unstable();
    let middle = rounds / 2;
    println!(
        "  {name:7} p99 of small pages alone {:?}, beside large ones {:?}: {:.2} times ({:.2} to {:.2})",
        without[middle],
        with[middle],
        ratios[middle],
        ratios[0],
        ratios[rounds - 1],
    );
}

pub(super) async fn compare(rounds: usize) {
    let server = Server::start();
    let mut plain = Plain::at(&server.url()).await;
    let (small, large) = (Handler::new(SMALL), Handler::new(LARGE));
    let runs = || small.runs() + large.runs();
    let mut names = 0;
    while names < SMALL_PAGES + LARGE_PAGES {
        let filling = node(&server).await;
        let asked = Cached {
            small: layer(&filling).layer(small.clone()),
            large: layer(&filling).layer(large.clone()),
        };
        for page in 0..SMALL_PAGES {
            asked.small(page).await;
        }
        for page in 0..LARGE_PAGES {
            asked.large(page).await;
        }
        filling.shutdown(Duration::from_secs(30)).await;
        names = plain.learn().await;
    }
    let raw = Raw::at(&server.url()).await;
    let node = node(&server).await;
    let cached = Cached {
        small: layer(&node).layer(small.clone()),
        large: layer(&node).layer(large.clone()),
    };
    let before = runs();
    println!("{SMALL} bytes beside {LARGE} bytes");
    measure("plain", &raw, rounds).await;
    measure("larder", &cached, rounds).await;
    measure("plain", &raw, rounds).await;
    measure("larder", &cached, rounds).await;
    assert_eq!(runs(), before, "a hit ran the handler");
}
