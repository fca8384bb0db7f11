//! Hands larder's figures to Prometheus.
//!
//! ```text
//! cargo run --release --example metrics --features metrics
//! curl http://127.0.0.1:3000/products/7      # some times
//! curl http://127.0.0.1:3000/metrics
//! ```
//!
//! `LISTEN` (default `127.0.0.1:3000`) is where it listens. With `--tour` it asks itself, prints what
//! Prometheus would read, and ends.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    routing::get,
};
use http_body_util::BodyExt;
use larder::{CacheLayer, Larder, Policy, Routes, mins};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::ServiceExt;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = app().await?;
    if env::args().any(|argument| argument == "--tour") {
        return tour(&app).await;
    }
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn app() -> Result<Router, BoxError> {
    // Before the cache, which describes its figures to the recorder that there is.
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let larder = Larder::builder().namespace("shop").build().await?;
    let routes = Routes::new()
        .get("/products/{id}", Policy::ttl(mins(1)).tag("product:{id}"))
        .build()?;
    let show = |Path(id): Path<u64>| async move { format!("product {id}\n") };
    let cache = CacheLayer::new(&larder).routes(routes);
    let metrics = move || async move {
        // They are handed on every second anyway; this makes them exact.
        larder.publish_metrics();
        prometheus.render()
    };
    Ok(Router::new()
        .route("/products/{id}", get(show))
        .layer(cache)
        .route("/metrics", get(metrics)))
}

async fn tour(app: &Router) -> Result<(), BoxError> {
    for _ in 0..100 {
        ask(app, "/products/7").await?;
    }
    let text = ask(app, "/metrics").await?;
    for line in text.lines().filter(|line| line.contains("requests_total")) {
        println!("{line}");
    }
    // The second may come before the first is stored; then it shares the first one's answer.
    let shared = counted(&text, "hit") + counted(&text, "collapsed");
    if (counted(&text, "miss"), shared) != (1, 99) {
        return Err(format!("not 1 miss and 99 shared answers in\n{text}").into());
    }
    Ok(())
}

/// The requests that were answered in this way, out of the text that Prometheus reads.
fn counted(text: &str, outcome: &str) -> u64 {
    let outcome = format!(r#"outcome="{outcome}""#);
    text.lines()
        .filter(|line| line.starts_with("larder_requests_total{") && line.contains(&outcome))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

async fn ask(app: &Router, path: &str) -> Result<String, BoxError> {
    let request = Request::get(path).header("host", "shop.test");
    let response = app.clone().oneshot(request.body(Body::empty())?).await?;
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}
