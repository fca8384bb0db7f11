//! Routes for administrators: what is in the cache and why, and what of it has to go.
//!
//! ```
//! use axum::{Router, routing::get};
//! use larder::{
//!     CacheLayer, Larder,
//!     admin::{self, Auth},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! # let token = "a long random text";
//! let larder = Larder::builder().build().await?;
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(CacheLayer::new(&larder))
//!     .nest("/admin/cache", admin::router(&larder, Auth::bearer(token)));
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! Mounted after the layer, as here, the routes are not behind the cache. They are closed: every
//! request has to be let in by [`Auth`], and one that changes something has to carry the field
//! `X-Larder-Admin: 1`, which no form and no link of another site can send. Each route, with a line
//! to try it, is in the page [`_docs::admin`](crate::_docs::admin); the document for machines is
//! `GET openapi.json`.
//!
//! What a call may do is bounded: the store is looked through for a quarter of a second at most and
//! off the async threads, lists have an end, and a listener that reads slowly loses events instead of
//! holding anything up.

mod answer;
mod auth;
mod control;
mod events;
mod explain;
mod keys;
mod purge;
mod router;
mod scan;
mod stats;

pub use self::{
    auth::Auth,
    router::{Admin, router},
};
