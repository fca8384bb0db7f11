//! Fills the cache before anybody asks, with a progress bar.
//!
//! ```text
//! cargo run --release --example warm                       # 500 products, and one that is broken
//! cargo run --release --example warm -- urls.txt           # the URLs of a file, one a line
//! cargo run --release --example warm -- sitemap.xml
//! ```
//!
//! What was asked for most is written to `hottest.txt` in the folder for temporary files at the end,
//! and warmed as well the next time.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, fs, path::Path as FilePath, time::Duration};

use axum::{Router, body::Body, extract::Path, http::StatusCode, routing::get};
use indicatif::{ProgressBar, ProgressStyle};
use larder::{CacheLayer, Larder, Policy, Routes, WarmList, mins};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a product takes: long enough that a visitor would feel it.
const HANDLER_TIME: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let larder = Larder::builder().build().await?;
    let routes = Routes::new()
        .get("/products/{id}", Policy::ttl(mins(5)))
        .build()?;
    let app: Router = Router::new()
        .route("/products/{id}", get(show))
        .layer(CacheLayer::new(&larder).routes(routes));

    let hottest = env::temp_dir().join("hottest.txt");
    let list = list(env::args().nth(1).as_deref())?.hottest(&hottest)?;
    let bar = ProgressBar::new(u64::try_from(list.len())?);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos} of {len}, {per_sec}, {msg}",
    )?);
    let shown = bar.clone();
    let report = larder
        .warm(list)
        .concurrency(16)
        .on_progress(move |progress| {
            shown.set_length(progress.total.try_into().unwrap_or(u64::MAX));
            shown.set_position(progress.done.try_into().unwrap_or(u64::MAX));
            shown.set_message(format!("{} failed", progress.failed));
        })
        .through(app, Body::empty)
        .await;
    bar.finish();

    println!("{} warmed, {} not stored", report.warmed, report.not_stored);
    for failure in &report.failed {
        println!("failed: {failure}");
    }
    let kept = larder.save_hottest(&hottest, 100)?;
    println!("{kept} URLs kept in {} for the next run", hottest.display());
    Ok(())
}

async fn show(Path(id): Path<u64>) -> Result<String, StatusCode> {
    tokio::time::sleep(HANDLER_TIME).await;
    match id {
        404 => Err(StatusCode::NOT_FOUND),
        id => Ok(format!("product {id}")),
    }
}

fn list(source: Option<&str>) -> Result<WarmList, BoxError> {
    let list = WarmList::new().host("shop.test");
    Ok(match source {
        None => list.urls((1..=500).map(|id| format!("/products/{id}"))),
        Some(path)
            if FilePath::new(path)
                .extension()
                .is_some_and(|end| end == "xml") =>
        {
            list.sitemap(&fs::read_to_string(path)?)?
        }
        Some(path) => list.file(path)?,
    })
}
