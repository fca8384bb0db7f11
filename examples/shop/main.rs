//! A small product shop: every pattern of caching where it belongs.
//!
//! ```text
//! cargo run --release --example shop --all-features
//! ```
//!
//! | route | what it shows |
//! | --- | --- |
//! | `GET /products`, `GET /products/{id}` | responses by a table of routes; values read through the typed cache |
//! | `PUT /products/{id}` with a price in cents as body | a write that makes value and pages void |
//! | `POST /products/{id}/view` | page views by write-behind |
//! | `POST /products/{id}/buy` with `Visitor: NAME` | stock as a hash, bestsellers as a ranking, in one batch |
//! | `GET /bestsellers`, `GET /products/{id}/rank` | the leaderboard |
//! | `GET /recent` with `Visitor: NAME` | a capped list: what this visitor saw last |
//! | `GET /visitors` | a set: how many there were |
//!
//! Environment, all of it optional: `LISTEN` (default `127.0.0.1:3000`), `DATABASE` (a SQLite file that
//! several nodes may share; default a fresh one), `QUEUE` (the file in which writes wait; default a fresh
//! one), `REDIS_URL` (then several nodes are one shop, and writes wait there), `ADMIN_TOKEN` (mounts the admin
//! routes at `/admin/cache` behind this bearer token).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

mod cache;
mod database;
mod pages;
mod visits;

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpListener, signal::unix};

use self::{cache::Shop, database::Database};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long what is under way at the end may take.
const LAST_WORK: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let path = env::var_os("DATABASE").map_or_else(fresh_database, PathBuf::from);
    let database = Arc::new(Database::open(&path)?);
    let shop = Shop::open(database, env::var("REDIS_URL").ok()).await?;
    let warmed = shop.warm().await?;
    println!("{warmed} products are warm");

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&listen).await?;
    let mut app = pages::app(&shop)?;
    if let Ok(token) = env::var("ADMIN_TOKEN") {
        app = pages::with_admin(app, &shop, &token);
    }
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(terminated())
        .await?;
    shop.close(LAST_WORK).await;
    Ok(())
}

fn fresh_database() -> PathBuf {
    env::temp_dir().join(format!("larder-shop-{}.sqlite", std::process::id()))
}

/// Waits for the signal to end in order.
async fn terminated() {
    match unix::signal(unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}
