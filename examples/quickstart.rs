//! An axum service with a slow handler behind larder.
//!
//! ```text
//! cargo run --release --example quickstart              # serves, and prints what to try with curl
//! cargo run --release --example quickstart -- --tour    # tries it itself, over real sockets
//! ```
//!
//! `LISTEN` (default `127.0.0.1:3000`) is where it listens. The tour takes a port of its own and ends
//! with an error if larder does not do what the table says.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    collections::HashMap,
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header::COOKIE};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use larder::{CacheLayer, Invalidate, Larder, Policy, Routes, mins, secs};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long the handler takes: long enough to be felt.
const HANDLER_TIME: Duration = Duration::from_millis(300);

/// Requests that ask for one page at the same moment.
const CROWD: usize = 200;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if env::args().any(|argument| argument == "--tour") {
        return tour().await;
    }
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    println!(
        "listening on http://{address}\n\n\
         curl -i http://{address}/products/7            # slow: the handler runs\n\
         curl -i http://{address}/products/7            # at once: see Cache-Status and Age\n\
         curl -X PUT http://{address}/products/7        # a new version\n\
         curl -i http://{address}/products/7            # the new version, never the old one\n\
         curl -i -H 'Cookie: sid=1' http://{address}/products/7   # may be personal: not cached\n"
    );
    axum::serve(listener, app(Arc::default()).await?).await?;
    Ok(())
}

/// What the handlers work on.
#[derive(Default)]
struct Shop {
    versions: Mutex<HashMap<u64, u64>>,
    runs: AtomicU64,
}

impl Shop {
    fn version(&self, id: u64, raise_by: u64) -> u64 {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let version = versions.entry(id).or_insert(1);
        *version += raise_by;
        *version
    }
}

async fn show(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> String {
    shop.runs.fetch_add(1, Ordering::SeqCst);
    let version = shop.version(id, 0);
    tokio::time::sleep(HANDLER_TIME).await;
    format!("product {id}, version {version}")
}

async fn update(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> String {
    format!("product {id}, version {}", shop.version(id, 1))
}

async fn app(shop: Arc<Shop>) -> Result<Router, larder::Error> {
    let larder = Larder::builder().memory_bytes(256 << 20).build().await?;
    let routes = Routes::new()
        .get(
            "/products/{id}",
            Policy::ttl(mins(5))
                .stale_while_revalidate(secs(30))
                .tag("product:{id}"),
        )
        .on("PUT /products/{id}", Invalidate::tags(["product:{id}"]))
        .build()?;
    Ok(Router::new()
        .route("/products/{id}", get(show).put(update))
        .layer(CacheLayer::new(&larder).routes(routes))
        .with_state(shop))
}

/// Tries the service from outside and holds larder to what it promises.
async fn tour() -> Result<(), BoxError> {
    let shop = Arc::<Shop>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let visitor = Visitor {
        server: listener.local_addr()?,
        client: Client::builder(TokioExecutor::new()).build_http(),
        shop: Arc::clone(&shop),
    };
    let app = app(shop).await?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    println!(
        "{:<28} {:>8} {:>5}  {:<22} Cache-Status",
        "request", "time", "runs", "body"
    );

    let first = visitor
        .visit("first", Method::GET, "/products/7", None)
        .await?;
    promise(first.runs == 1, "the first request runs the handler")?;
    let second = visitor
        .visit("second", Method::GET, "/products/7", None)
        .await?;
    promise(
        second.runs == 0 && second.status().contains("hit"),
        "the second is a hit",
    )?;
    promise(second.body == first.body, "a hit has the same body")?;
    promise(
        second.time < HANDLER_TIME,
        "a hit does not wait for the handler",
    )?;
    visitor
        .visit("update", Method::PUT, "/products/7", None)
        .await?;
    let third = visitor
        .visit("after the update", Method::GET, "/products/7", None)
        .await?;
    promise(
        third.runs == 1 && third.body.ends_with("version 2"),
        "no old answer after a write",
    )?;
    let personal = visitor
        .visit("with a cookie", Method::GET, "/products/7", Some("sid=1"))
        .await?;
    promise(personal.runs == 1, "what may be personal is not cached")?;
    let runs = visitor.crowd("/products/8").await?;
    promise(runs == 1, "a crowd costs one handler run")?;

    server.abort();
    println!("\nEvery promise was kept.");
    Ok(())
}

fn promise(kept: bool, promise: &str) -> Result<(), BoxError> {
    if kept {
        return Ok(());
    }
    Err(format!("not kept: {promise}").into())
}

/// A client of the service that can also see how often the handler ran.
#[derive(Clone)]
struct Visitor {
    server: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
    shop: Arc<Shop>,
}

struct Visit {
    headers: HeaderMap,
    body: String,
    time: Duration,
    runs: u64,
}

impl Visit {
    fn status(&self) -> &str {
        let status = self.headers.get("cache-status");
        status.and_then(|value| value.to_str().ok()).unwrap_or("-")
    }
}

impl Visitor {
    /// Makes one request and prints what came back.
    async fn visit(
        &self,
        name: &str,
        method: Method,
        path: &str,
        cookie: Option<&str>,
    ) -> Result<Visit, BoxError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server));
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let visit = self.send(request.body(Empty::new())?).await?;
        println!(
            "{name:<28} {:>5} ms {:>5}  {:<22} {}",
            visit.time.as_millis(),
            visit.runs,
            visit.body,
            visit.status()
        );
        Ok(visit)
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Visit, BoxError> {
        let (began, before) = (Instant::now(), self.shop.runs.load(Ordering::SeqCst));
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Visit {
            headers: head.headers,
            body: String::from_utf8(body.into())?,
            time: began.elapsed(),
            runs: self.shop.runs.load(Ordering::SeqCst) - before,
        })
    }

    /// Asks many times at once for a page that nobody has asked for; returns the handler runs.
    async fn crowd(&self, path: &str) -> Result<u64, BoxError> {
        let (began, before) = (Instant::now(), self.shop.runs.load(Ordering::SeqCst));
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let visitor = self.clone();
            let uri = format!("http://{}{path}", self.server);
            crowd.spawn(async move { visitor.send(Request::get(uri).body(Empty::new())?).await });
        }
        let mut joined = 0;
        while let Some(visit) = crowd.join_next().await {
            joined += usize::from(visit??.status().contains("collapsed"));
        }
        let runs = self.shop.runs.load(Ordering::SeqCst) - before;
        println!(
            "{:<28} {:>5} ms {runs:>5}  {joined} of them waited for another's answer",
            format!("{CROWD} at the same moment"),
            began.elapsed().as_millis()
        );
        Ok(runs)
    }
}
