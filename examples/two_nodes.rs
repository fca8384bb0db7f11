//! Two nodes of one application share what they cache, and a write on one is seen on the other.
//!
//! ```text
//! cargo run --release --example two_nodes --features redis
//! cargo run --release --example two_nodes --features redis -- --stay    # and goes on serving
//! ```
//!
//! It starts a redis-server of its own on a free port, without persistence, and ends it at the end;
//! with `REDIS_URL` in the environment it uses that one. The nodes are two listeners with a
//! [`Larder`] each: all that they share is the shop behind their handlers, and Redis.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    collections::HashMap,
    env,
    net::{SocketAddr, TcpListener as Port},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use larder::{CacheLayer, Invalidate, Larder, Policy, Routes, mins};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long the handler takes: long enough to be felt.
const HANDLER_TIME: Duration = Duration::from_millis(300);

/// How far behind an acknowledged write another node may be.
const BOUND: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let redis = Redis::find_or_start().await?;
    let shop = Arc::<Shop>::default();
    let first = Node::start("one", &redis.url, &shop).await?;
    let second = Node::start("two", &redis.url, &shop).await?;
    println!(
        "{:<10} {:<18} {:>8}  {:<22} Cache-Status",
        "node", "request", "time", "body"
    );

    first.ask(Method::GET).await?;
    first.ask(Method::GET).await?;
    // What a node stores is written to Redis behind its response.
    sleep(Duration::from_millis(50)).await;
    let shared = second.ask(Method::GET).await?;
    promise(
        shared.status.contains("hit"),
        "one node's answer is the other's hit",
    )?;
    first.ask(Method::PUT).await?;
    let written = Instant::now();
    let behind = loop {
        let asked = written.elapsed();
        if second.send(Method::GET).await?.body.ends_with("version 2") {
            break asked;
        }
        promise(asked < BOUND, "the other node follows")?;
    };
    let new = second.ask(Method::GET).await?;
    promise(new.body.ends_with("version 2"), "nothing old comes back")?;
    let new = first.ask(Method::GET).await?;
    promise(
        new.body.ends_with("version 2"),
        "nothing old on the node of the write",
    )?;

    println!(
        "\nA request that node two got {behind:.1?} after the acknowledgement had the new version."
    );
    if env::args().any(|argument| argument == "--stay") {
        println!("Redis is at {}. Try, in any order:\n", redis.url);
        for node in [&first, &second] {
            println!("curl -i http://{}/products/7", node.address);
            println!("curl -i -X PUT http://{}/products/7", node.address);
        }
        println!(
            "redis-cli -u {} publish 'larder:{{shop}}:invalidate' \
             '{{\"id\":\"1\",\"tags\":[\"product:7\"]}}'",
            redis.url
        );
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

fn promise(kept: bool, promise: &str) -> Result<(), BoxError> {
    if kept {
        return Ok(());
    }
    Err(format!("not kept: {promise}").into())
}

/// What the handlers of both nodes work on: their database.
#[derive(Default)]
struct Shop {
    versions: Mutex<HashMap<u64, u64>>,
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
    let version = shop.version(id, 0);
    sleep(HANDLER_TIME).await;
    format!("product {id}, version {version}")
}

async fn update(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> String {
    format!("product {id}, version {}", shop.version(id, 1))
}

/// One node: its own listener, its own larder.
struct Node {
    name: &'static str,
    address: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// What came back.
struct Answer {
    body: String,
    status: String,
}

impl Node {
    async fn start(name: &'static str, redis: &str, shop: &Arc<Shop>) -> Result<Self, BoxError> {
        let larder = Larder::builder()
            .namespace("shop")
            .redis(redis)
            .build()
            .await?;
        let routes = Routes::new()
            .get("/products/{id}", Policy::ttl(mins(5)).tag("product:{id}"))
            .on("PUT /products/{id}", Invalidate::tags(["product:{id}"]))
            .build()?;
        let app = Router::new()
            .route("/products/{id}", get(show).put(update))
            .layer(CacheLayer::new(&larder).routes(routes))
            .with_state(Arc::clone(shop));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            name,
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// Makes one request for product 7 and prints what came back.
    async fn ask(&self, method: Method) -> Result<Answer, BoxError> {
        let began = Instant::now();
        let answer = self.send(method.clone()).await?;
        println!(
            "{:<10} {:<18} {:>5} ms  {:<22} {}",
            self.name,
            format!("{method} /products/7"),
            began.elapsed().as_millis(),
            answer.body,
            answer.status
        );
        Ok(answer)
    }

    async fn send(&self, method: Method) -> Result<Answer, BoxError> {
        // Nodes behind a load balancer are asked for the same host, which is part of the key.
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/products/7", self.address))
            .header("host", "shop.example")
            .body(Empty::new())?;
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let head = Response::from_parts(head, ());
        let status = head.headers().get("cache-status");
        let status = status.and_then(|value| value.to_str().ok()).unwrap_or("-");
        Ok(Answer {
            body: String::from_utf8(body.into())?,
            status: status.to_owned(),
        })
    }
}

/// A Redis to share, and the process if it is the example's own.
struct Redis {
    url: String,
    server: Option<Child>,
}

impl Redis {
    async fn find_or_start() -> Result<Self, BoxError> {
        if let Ok(url) = env::var("REDIS_URL") {
            return Ok(Self { url, server: None });
        }
        let port = Port::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server could not be started: {error}"))?;
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            server: Some(server),
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            promise(began.elapsed() < Duration::from_secs(10), "Redis starts")?;
            sleep(Duration::from_millis(10)).await;
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It may have ended by itself.
            drop(server.kill());
            drop(server.wait());
        }
    }
}
