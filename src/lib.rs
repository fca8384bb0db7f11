//! The response cache for Rust web services: one layer over an axum router, a tonic server or any
//! tower service over `http`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use larder::{CacheLayer, Invalidate, Larder, Policy, Routes, mins};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! let larder = Larder::builder().build().await?;
//! let routes = Routes::new()
//!     .get("/products/{id}", Policy::ttl(mins(5)).tag("product:{id}"))
//!     .on("PUT /products/{id}", Invalidate::tags(["product:{id}"]))
//!     .build()?;
//! let app: Router = Router::new()
//!     .route("/products/{id}", get(|| async { "a product" }).put(|| async {}))
//!     .layer(CacheLayer::new(&larder).routes(routes));
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to go from here
//!
//! | to | see |
//! | --- | --- |
//! | build the cache itself, and invalidate from code | [`Larder`] |
//! | put it before a service | [`CacheLayer`], [`SwrLayer`], [`CacheLayer::gateway`] |
//! | put it before a server of gRPC | [`GrpcCacheLayer`](crate::_docs::grpc) |
//! | say what is kept, for how long and under which key | [`Policy`], in a table of [`Routes`] or by [`Larder::route`] next to one |
//! | say what a mutating request makes void | [`Invalidate`], [`Target`] |
//! | say all of that on the handler | [`macro@cache`], [`macro@invalidates`] |
//! | let a handler decide | [`CacheHint`], [`Invalidations`] |
//! | see what happened | the `Cache-Status` field, [`Statistics`], [`_docs::monitoring`] |
//! | look into it and change it from outside | the feature `admin`: [`_docs::admin`] |
//! | fill it before anybody asks | [`Larder::warm`] |
//! | move the time in tests | [`TestClock`] |
//! | read more | [`_docs`] |
//!
//! # What holds for all of it
//!
//! - Nothing is stored unless its route declares a policy or its response says how long it is good.
//!   Whoever may be someone in particular (a cookie, credentials) goes to the handler.
//! - When an invalidation has been acknowledged, no request that arrives later gets an answer whose
//!   handler run began before it.
//! - A fault of the cache is never an error of the request: the handler answers. Errors are for
//!   start-up, where a wrong setting is named together with what to do about it.
//! - Only [`Cache`] and [`CacheBody`] carry the inner service's type; layers and the handle do not.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Without the tier, the compression or the router that a feature brings, what serves it alone is
// idle. Whether all of it has a use is told by a build with all features.
#![cfg_attr(
    not(all(
        feature = "memory",
        feature = "gzip",
        feature = "lz4",
        feature = "axum",
        feature = "redis"
    )),
    allow(dead_code, unused_imports, reason = "what a missing feature would use")
)]

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod attributes;
mod clock;
#[cfg(feature = "data")]
mod data;
mod entry;
mod error;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the invalidations of a shared tier enter through it"
    )
)]
mod fence;
mod flight;
// For the fuzz targets, which are another crate, and for the test that runs them without it.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "grpc")]
mod grpc;
mod handle;
mod hash;
mod invalidate;
mod key;
mod observe;
mod policy;
#[cfg(larder_sabotage)]
mod sabotage;
mod semantics;
mod service;
mod store;
#[cfg(feature = "data")]
pub mod structures;
mod sync;
mod warm;

#[cfg(all(larder_sabotage, not(debug_assertions)))]
compile_error!("larder with planted faults is for its own tests");

#[cfg(feature = "grpc")]
pub use self::grpc::{
    GrpcBody, GrpcCache, GrpcCacheLayer, GrpcMethodTable, GrpcMethods, GrpcResponseBody,
    GrpcResponseFuture,
};
#[cfg(feature = "macros")]
pub use larder_macros::{cache, invalidates};

pub use self::{
    clock::{Clock, SystemClock, TestClock, Timestamp},
    error::{Error, ErrorKind},
    handle::{Larder, LarderBuilder},
    invalidate::{Ack, Consistency},
    observe::{
        Outcome, Quantiles, RedisStatistics, RouteStatistics, SharedStatistics, Statistics,
        Traffic, Window,
    },
    policy::{
        CacheHint, Compress, Invalidate, Invalidations, Key, Policy, RouteTable, Routes, Target,
        hours, mins, secs,
    },
    service::{BodyError, Cache, CacheBody, CacheLayer, ResponseFuture, SwrLayer},
    warm::{WarmFailure, WarmList, WarmProgress, WarmReport, Warming},
};

#[cfg(feature = "redis")]
pub use self::handle::Redis;
#[cfg(feature = "axum")]
pub use self::service::{CachedRouter, RouterFuture};
#[cfg(feature = "data")]
pub use self::{
    data::{Encoding, LoadError, Loading, LookUp, Typed, Vacancy, Warmed, Written},
    handle::inherit,
};

#[cfg(feature = "write-behind")]
pub use self::data::write_behind;

/// Pages that are longer than a comment, as they stand in the repository.
pub mod _docs {
    #[doc = include_str!("docs/admin.md")]
    pub mod admin {}
    #[doc = include_str!("docs/conformance.md")]
    pub mod conformance {}
    #[cfg(feature = "redis")]
    #[doc = include_str!("docs/consistency.md")]
    pub mod consistency {}
    #[cfg(feature = "grpc")]
    #[doc = include_str!("docs/grpc.md")]
    pub mod grpc {}
    #[doc = include_str!("docs/monitoring.md")]
    pub mod monitoring {}
    #[cfg(feature = "redis")]
    #[doc = include_str!("docs/operations.md")]
    pub mod operations {}
    #[cfg(feature = "data")]
    #[doc = include_str!("docs/patterns.md")]
    pub mod patterns {}
    #[doc = include_str!("docs/performance.md")]
    pub mod performance {}
    #[cfg(all(feature = "axum", feature = "macros"))]
    #[doc = include_str!("docs/routes.md")]
    pub mod routes {}
    #[doc = include_str!("docs/security.md")]
    pub mod security {}
    #[doc = include_str!("docs/standards.md")]
    pub mod standards {}
}

/// The examples of the README, which are tests so.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
