//! What does a hit cost, in larder and in others?
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! One request after another for one page that is stored, from the call to the end of the body, each
//! cache as its documentation sets it up, around the same handler, outside of a router. They take
//! turns, many times over; a time is the middle of what each turn took against the turn of the floor
//! in the same round, so that whatever else the machine does falls on all of them. Beside them stand
//! the floor, which obeys no rule of HTTP, and an axum router that makes the page anew.
//!
//! That a hit is one is seen by the handler not being called.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench reads the clock, and prints what it found"
)]

#[path = "../../support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    fmt::Debug,
    future::Future,
    hint::black_box,
    marker::PhantomData,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service};

use support::{Floor, Page, layer, request, router, zipf};

const PATH: &str = "/pages/42";

/// How long answers are kept where a layer has to be told.
const LIFETIME: Duration = Duration::from_secs(300);

/// How many entries a store may have where it has to be told.
const ENTRIES: u64 = 1000;

/// How many turns each has, and how many requests are in one.
const TURNS: usize = 101;
const REQUESTS: usize = 500;

/// How many pages two threads ask for.
const PAGES: usize = 500;

fn main() {
    println!(
        "{:<34}{:>8}{:>13}{:>8}{:>9}{:>9}",
        "a hit", "bytes", "allocations", "bytes", "x floor", "x axum"
    );
    for length in [4 << 10, 64 << 10] {
        compare(length);
    }
    two_threads();
}

/// Prints how many hits two threads get of larder, of what they get of the floor, for pages that some
/// ask for far more often than others.
fn two_threads() {
    let page = Page::of(4 << 10);
    let paths: Vec<String> = (0..PAGES).map(|page| format!("/pages/{page}")).collect();
    let floor = Floor::new(&page, paths.iter().map(String::as_str));
    let mut larder = layer().layer(page);
    support::fill_all(&mut larder, &paths);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        times[0].push(together(&floor, &paths));
        times[1].push(together(&larder, &paths));
    }
    let share = against(&times[0], &times[1]);
    println!("hits per second of two threads, larder against the floor: {share:.2}");
}

/// Returns how many nanoseconds two threads take for their requests.
fn together<S, B>(service: &S, paths: &[String]) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug> + Clone + Send + Sync,
    B: http_body::Body<Data = Bytes, Error: Debug>,
{
    let barrier = Barrier::new(2);
    let work = |seed| {
        let mut service = service.clone();
        let pages = zipf(paths.len(), seed).take(4 * REQUESTS);
        let requests: Vec<_> = pages.map(|page| request(&paths[page])).collect();
        barrier.wait();
        let begun = Instant::now();
        for request in requests {
            black_box(read(&mut service, request));
        }
        begun.elapsed().as_nanos() as f64
    };
    thread::scope(|scope| {
        let threads = [1, 2].map(|seed| {
            scope.spawn({
                let work = &work;
                move || work(seed)
            })
        });
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold(0.0, f64::max)
    })
}

fn compare(length: usize) {
    let page = Page::of(length);
    let handler = Handler::new(page.clone());
    let manager = http_cache::MokaManager::new(moka::future::Cache::new(ENTRIES));
    let mut all: Vec<Box<dyn Subject>> = vec![
        other("floor", Floor::new(&page, [PATH])),
        other("axum, no cache", router(page)),
        cache("larder", layer().layer(handler.clone()), &handler),
        cache(
            "tower-http-cache 0.6.1",
            tower_http_cache::CacheLayer::builder(tower_http_cache::prelude::InMemoryBackend::new(
                ENTRIES,
            ))
            .ttl(LIFETIME)
            .build()
            .layer(Whole(handler.clone())),
            &handler,
        ),
        cache(
            "axum-response-cache 0.5.0",
            axum_response_cache::CacheLayer::with_lifespan(LIFETIME).layer(handler.clone()),
            &handler,
        ),
        cache(
            "http-cache-tower-server 0.2.6",
            http_cache_tower_server::ServerCacheLayer::new(manager).layer(handler.clone()),
            &handler,
        ),
    ];
    let runtime = support::runtime();
    for subject in &mut all {
        runtime.block_on(subject.fill());
    }
    let _inside = runtime.enter();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    for _ in 0..TURNS {
        for (subject, times) in all.iter_mut().zip(&mut times) {
            times.push(subject.turn());
        }
    }
    for (at, subject) in all.iter_mut().enumerate() {
        let (count, bytes) = subject.allocations();
        let (floor, axum) = (
            against(&times[at], &times[0]),
            against(&times[at], &times[1]),
        );
        println!(
            "{:<34}{length:>8}{count:>13}{bytes:>8}{floor:>9.2}{axum:>9.2}",
            subject.name()
        );
    }
}

/// Returns the middle of what the turns of one took against those of another.
fn against(times: &[f64], others: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = times
        .iter()
        .zip(others)
        .map(|(time, other)| time / other)
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// The handler, which counts how often it runs.
#[derive(Clone, Debug)]
struct Handler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    page: Page,
    runs: AtomicU64,
}

impl Handler {
    fn new(page: Page) -> Self {
        let runs = AtomicU64::new(0);
        Self(Arc::new(Shared { page, runs }))
    }

    fn runs(&self) -> u64 {
        self.0.runs.load(Ordering::Relaxed)
    }
}

/// A run of the handler. It begins when it is polled: one of the layers makes it before it knows
/// whether there is need for it.
struct Run<B>(Handler, PhantomData<fn() -> B>);

impl<B: From<Bytes>> Future for Run<B> {
    type Output = Result<Response<B>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Shared { page, runs } = &*self.0.0;
        runs.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(page.response()))
    }
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Run<Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        Run(self.clone(), PhantomData)
    }
}

/// The same with a body that can be shared between threads, for a layer that asks for that.
#[derive(Clone, Debug)]
struct Whole(Handler);

impl Service<Request<Body>> for Whole {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Run<Full<Bytes>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        Run(self.0.clone(), PhantomData)
    }
}

/// One of those that are compared.
trait Subject {
    fn name(&self) -> &'static str;

    /// Asks until the answer is stored.
    fn fill(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>>;

    /// Returns how many nanoseconds a request took.
    fn turn(&mut self) -> f64;

    /// Returns how many allocations a request takes, and of how many bytes.
    fn allocations(&mut self) -> (u64, u64);
}

struct Measured<S> {
    name: &'static str,
    service: S,
    /// None behind what is no cache.
    handler: Option<Handler>,
}

/// Returns one that is no cache.
fn other<S>(name: &'static str, service: S) -> Box<dyn Subject>
where
    Measured<S>: Subject + 'static,
{
    Box::new(Measured {
        name,
        service,
        handler: None,
    })
}

/// Returns a cache in front of a handler.
fn cache<S>(name: &'static str, service: S, handler: &Handler) -> Box<dyn Subject>
where
    Measured<S>: Subject + 'static,
{
    Box::new(Measured {
        name,
        service,
        handler: Some(handler.clone()),
    })
}

impl<S, B> Subject for Measured<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Data = Bytes, Error: Debug>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn fill(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            for _ in 0..3 {
                let response = self.service.call(request(PATH)).await.unwrap();
                response.into_body().collect().await.unwrap();
                // What a cache does when it has answered.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    fn turn(&mut self) -> f64 {
        let runs = || self.handler.as_ref().map_or(0, Handler::runs);
        let before = runs();
        let requests: Vec<_> = (0..REQUESTS).map(|_| request(PATH)).collect();
        let begun = Instant::now();
        for request in requests {
            black_box(read(&mut self.service, request));
        }
        let took = begun.elapsed();
        assert_eq!(runs(), before, "{}: that was no hit", self.name);
        took.as_nanos() as f64 / REQUESTS as f64
    }

    fn allocations(&mut self) -> (u64, u64) {
        let requests: Vec<_> = (0..100).map(|_| request(PATH)).collect();
        let heap = allocation_counter::measure(|| {
            for request in requests {
                black_box(read(&mut self.service, request));
            }
        });
        (heap.count_total / 100, heap.bytes_total / 100)
    }
}

/// Asks, reads the answer to its end, and returns its length.
fn read<S, B>(service: &mut S, request: Request<Body>) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Data = Bytes, Error: Debug>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut call = pin!(service.call(request));
    let response = loop {
        if let Poll::Ready(response) = call.as_mut().poll(&mut context) {
            break response.unwrap();
        }
    };
    let mut body = pin!(response.into_body());
    let mut length = 0;
    loop {
        match body.as_mut().poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => {
                length += frame.unwrap().into_data().map_or(0, |data| data.len())
            }
            Poll::Ready(None) => return length,
            Poll::Pending => {}
        }
    }
}
