//! What does a hit on the second tier cost beside a plain GET of the same bytes?
//!
//! `cargo bench --all-features --bench redis`. Starts a redis-server of its own. One node fills the
//! second tier; other nodes, whose own memory is empty, ask for each page once, so that each answer
//! is a look-up in Redis, a decoded and promoted response, and an answer over HTTP types. The plain
//! way takes the same values over as many multiplexed connections and throws them away. Both are
//! measured in turns, and the best of the rounds counts; commands are counted by the server, and runs
//! of the handler, of which there may be none.
//!
//! `benches/redis_peers` has other caches beside it. `scripts/instructions larder second 1024` counts the
//! instructions of either way under valgrind: this program then does one of the two, in one thread.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark may panic, prints its figures and takes the time"
)]

use std::time::Duration;

use larder::{CacheLayer, Larder, Policy, Routes, mins};
use tower::Layer;

use self::harness::{CALLERS, Counted, Handler, Plain, SIZES, Server, ask, node};

#[path = "support/redis.rs"]
mod harness;

/// How often each side is measured.
const ROUNDS: usize = 5;

fn layer(larder: &Larder) -> CacheLayer {
    let routes = Routes::new().get("/{page}", Policy::ttl(mins(60)));
    CacheLayer::new(larder).routes(routes.build().unwrap())
}

/// Has a node fill the second tier with so many pages, and returns the plain way to them.
async fn filled(server: &Server, handler: &Handler, pages: usize) -> Plain {
    let mut plain = Plain::at(&server.url()).await;
    // What finds no room in the queue of writes is dropped, and asked for by the next node.
    while plain.learn().await < pages {
        let filling = node(server).await;
        ask(&layer(&filling).layer(handler.clone()), pages, 16).await;
        filling.shutdown(Duration::from_secs(30)).await;
    }
    plain
}

async fn compare(size: usize, pages: usize) {
    let server = Server::start();
    let handler = Handler::new(size);
    let plain = filled(&server, &handler, pages).await;
    let filled = handler.runs();
    for callers in CALLERS {
        let (mut hit, mut get) = (Duration::MAX, Duration::MAX);
        let mut counted = Counted::default();
        for _ in 0..ROUNDS {
            get = get.min(plain.take(callers).await);
            let node = node(&server).await;
            plain.reset().await;
            let service = layer(&node).layer(handler.clone());
            hit = hit.min(ask(&service, pages, callers).await);
            counted = plain.counted().await;
            node.shutdown(Duration::from_secs(5)).await;
        }
        let each = |took: Duration| took.as_secs_f64() * 1e6 / pages as f64;
        println!(
            "{size:7} bytes {callers:4} callers: {:8.1} us a hit, {:8.1} us a plain GET, {:.2} of \
             its rate; {pages} hits took {} commands, read in {} pieces",
            each(hit),
            each(get),
            get.as_secs_f64() / hit.as_secs_f64(),
            counted.commands,
            counted.reads,
        );
    }
    assert_eq!(handler.runs(), filled, "a hit ran the handler");
}

/// Takes every page once, either way, inside of [`measured`].
fn count(subject: &str, size: usize, callers: usize, pages: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = Server::start();
    let handler = Handler::new(size);
    let (plain, service) = runtime.block_on(async {
        let plain = filled(&server, &handler, pages).await;
        let node = node(&server).await;
        (plain, layer(&node).layer(handler.clone()))
    });
    let filled = handler.runs();
    match subject {
        "get" => measured(&runtime, plain.take(callers)),
        _ => measured(&runtime, ask(&service, pages, callers)),
    }
    assert_eq!(handler.runs(), filled, "a hit ran the handler");
}

/// What is counted: from the making of the request to the last byte of the body, with the share of the
/// connections' own tasks.
#[inline(never)]
fn measured(runtime: &tokio::runtime::Runtime, work: impl Future<Output = Duration>) {
    runtime.block_on(work);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [subject, "second", size, callers, pages] =
        &*arguments.iter().map(String::as_str).collect::<Vec<_>>()
    {
        let number = |text: &str| text.parse().unwrap();
        return count(subject, number(size), number(callers), number(pages));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for (size, pages) in SIZES {
            compare(size, pages).await;
        }
    });
}
