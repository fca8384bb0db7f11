//! What does a hit on Redis cost in larder, in tower-http-cache and in hitbox?
//!
//! ```text
//! cargo run --release --manifest-path benches/redis_peers/Cargo.toml [ROUNDS]
//! cargo run --release --manifest-path benches/redis_peers/Cargo.toml beside [ROUNDS]
//! ```
//!
//! Starts a redis-server of its own. Each cache fills it with the same pages and is then asked for each
//! of them; none has a tier in the process, larder being built without it, so that every answer comes
//! from Redis. All are measured in turns beside a plain GET of what larder has written, and the best of
//! the rounds counts. A hit that ran the handler ends the comparison.
//!
//! With `beside`: how long does a small page take while others ask for large ones? See `beside.rs`.
//!
//! `benches/redis.rs` has larder with both tiers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark may panic, and takes the time"
)]

use std::{env, fmt::Debug, time::Duration};

use bytes::Bytes;
use hitbox::{Config, policy::PolicyConfig};
use hitbox_http::{
    extractors::{Method, path::PathExtractor},
    predicates::{NeutralRequestPredicate, NeutralResponsePredicate},
};
use hitbox_redis::ConnectionMode;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use larder::{CacheLayer, Larder, Policy, Routes, mins};
use redis::aio::ConnectionManagerConfig;
use tower::{Layer, Service};

use self::harness::{CALLERS, Counted, Handler, Plain, SIZES, Server, ask, node};

mod beside;
#[path = "../../support/redis.rs"]
mod harness;

const HOUR: Duration = Duration::from_secs(3600);

/// What was measured of one cache.
struct Measured {
    name: &'static str,
    best: Duration,
    counted: Counted,
}

impl Measured {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            best: Duration::MAX,
            counted: Counted::default(),
        }
    }

    /// Asks for every page once; the handler must not run.
    async fn round<S, B>(
        &mut self,
        service: &S,
        handler: &Handler,
        plain: &Plain,
        pages: usize,
        callers: usize,
    ) where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Debug + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Debug,
    {
        let before = handler.runs();
        plain.reset().await;
        self.best = self.best.min(ask(service, pages, callers).await);
        self.counted = plain.counted().await;
        assert_eq!(
            handler.runs(),
            before,
            "{}: a hit ran the handler",
            self.name
        );
    }

    fn print(&self, plain: Duration, pages: usize, callers: usize) {
        let share = |count: usize| count as f64 / pages as f64;
        let trips = if callers == 1 {
            format!("{:5.2} round trips", share(self.counted.reads))
        } else {
            String::new()
        };
        println!(
            "  {:18} {callers:4} callers: {:.2} of the rate of plain GETs, {:.2} commands a hit {trips}",
            self.name,
            plain.as_secs_f64() / self.best.as_secs_f64(),
            share(self.counted.commands),
        );
    }
}

fn layer(larder: &Larder) -> CacheLayer {
    let routes = Routes::new().get("/{page}", Policy::ttl(mins(60)));
    CacheLayer::new(larder).routes(routes.build().unwrap())
}

/// As its own example does it, with a limit that a large body on a busy machine stays within.
async fn tower_http_cache(
    server: &Server,
) -> tower_http_cache::layer::CacheLayer<tower_http_cache::backend::redis::RedisBackend> {
    let client = redis::Client::open(server.url()).unwrap();
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_secs(10)))
        .set_connection_timeout(Some(Duration::from_secs(5)));
    let manager = client
        .get_connection_manager_with_config(config)
        .await
        .unwrap();
    let backend = tower_http_cache::backend::redis::RedisBackend::new(manager);
    tower_http_cache::layer::CacheLayer::builder(backend)
        .ttl(HOUR)
        .key_extractor(tower_http_cache::layer::KeyExtractor::path())
        .build()
}

/// As its documentation does it.
fn hitbox_backend(server: &Server) -> hitbox_redis::RedisBackend {
    hitbox_redis::RedisBackend::builder()
        .connection(ConnectionMode::single(server.url()))
        .response_timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

macro_rules! hitbox {
    ($backend:expr, $handler:expr) => {
        hitbox_tower::Cache::builder()
            .backend($backend)
            .config(
                Config::builder()
                    .request_predicate(NeutralRequestPredicate::new())
                    .response_predicate(NeutralResponsePredicate::new())
                    .extractor(Method::new().path("/{page}"))
                    .policy(PolicyConfig::builder().ttl(HOUR).build())
                    .build(),
            )
            .build()
            .layer($handler)
    };
}

async fn compare(size: usize, pages: usize, rounds: usize) {
    let server = Server::start();
    let mut plain = Plain::at(&server.url()).await;
    let handler = Handler::new(size);

    // What finds no room in the queue of writes is dropped, and asked for by the next node.
    while plain.learn().await < pages {
        let filling = node(&server).await;
        ask(&layer(&filling).layer(handler.clone()), pages, 16).await;
        filling.shutdown(Duration::from_secs(30)).await;
    }
    let other = tower_http_cache(&server).await.layer(handler.clone());
    ask(&other, pages, 16).await;
    let third = hitbox!(hitbox_backend(&server), handler.clone());
    ask(&third, pages, 16).await;

    let node = node(&server).await;
    let own = layer(&node).layer(handler.clone());

    println!("{size} bytes, {pages} pages");
    for callers in CALLERS {
        let mut get = Duration::MAX;
        let mut all = ["larder", "tower-http-cache", "hitbox"].map(Measured::new);
        for _ in 0..rounds {
            get = get.min(plain.take(callers).await);
            all[0].round(&own, &handler, &plain, pages, callers).await;
            all[1].round(&other, &handler, &plain, pages, callers).await;
            all[2].round(&third, &handler, &plain, pages, callers).await;
        }
        for measured in &all {
            measured.print(get, pages, callers);
        }
    }
}

fn main() {
    let mut arguments = env::args().skip(1).peekable();
    let is_beside = arguments.next_if_eq("beside").is_some();
    let rounds = arguments.next().map_or(5, |rounds| rounds.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if is_beside {
        runtime.block_on(beside::compare(rounds));
        return;
    }
    runtime.block_on(async {
        for (size, pages) in SIZES {
            compare(size, pages, rounds).await;
        }
    });
}
