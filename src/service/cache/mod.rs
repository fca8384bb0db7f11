//! Keeps the answers of the services it wraps.
//!
//! ```
//! use axum::{Router, routing::get};
//! use larder::{CacheLayer, Larder, Policy, Routes, mins};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! let larder = Larder::builder().build().await?;
//! let routes = Routes::new().get("/products/{id}", Policy::ttl(mins(5))).build()?;
//! let app: Router = Router::new()
//!     .route("/products/{id}", get(|| async { "a product" }))
//!     .layer(CacheLayer::new(&larder).routes(routes));
//! # drop(app);
//! # Ok(())
//! # }
//! ```

mod body;
mod elsewhere;
mod future;
mod layer;
mod service;

pub(crate) use self::future::Answer;
pub use self::{
    body::{BodyError, CacheBody},
    future::ResponseFuture,
    layer::CacheLayer,
    service::Cache,
};
