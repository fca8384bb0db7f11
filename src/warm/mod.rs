//! Filling the cache before anybody asks: after a deployment, after a purge, on a schedule.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use larder::{CacheLayer, Larder, Policy, Routes, WarmList, mins};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! let larder = Larder::builder().build().await?;
//! let routes = Routes::new().get("/products/{id}", Policy::ttl(mins(5))).build()?;
//! let app: Router = Router::new()
//!     .route("/products/{id}", get(|| async { "a product" }))
//!     .layer(CacheLayer::new(&larder).routes(routes));
//!
//! let pages = WarmList::new().host("shop.test").urls((1..=100).map(|id| format!("/products/{id}")));
//! let report = larder
//!     .warm(pages)
//!     .concurrency(16)
//!     .on_progress(|progress| println!("{} of {}", progress.done, progress.total))
//!     .through(app, Body::empty)
//!     .await;
//! assert_eq!((report.warmed, report.failed.len()), (100, 0));
//! # Ok(())
//! # }
//! ```
//!
//! The requests go through the layered service, as those of visitors do: what they bring is stored by
//! the same rules, and what is fresh already is only looked at. So nothing can get into the cache by
//! warming that could not get there otherwise.

mod hottest;
mod list;
mod run;
mod sitemap;

pub use self::{
    list::WarmList,
    run::{WarmFailure, WarmProgress, WarmReport, Warming},
};
