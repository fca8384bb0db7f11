//! The response cache for Rust web services.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Without the tier, the compression or the router that a feature brings, what serves it alone is
// idle. Whether all of it has a use is told by a build with all features.
#![cfg_attr(
    not(all(
        feature = "memory",
        feature = "gzip",
        feature = "lz4",
        feature = "axum"
    )),
    allow(dead_code, unused_imports, reason = "what a missing feature would use")
)]

mod clock;
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
mod handle;
mod invalidate;
mod key;
mod observe;
mod policy;
mod semantics;
mod service;
mod store;
mod sync;

pub use self::{
    clock::{Clock, SystemClock, TestClock, Timestamp},
    error::{Error, ErrorKind},
    handle::{Larder, LarderBuilder},
    invalidate::Ack,
    observe::{Outcome, Statistics},
    policy::{
        CacheHint, Compress, Invalidate, Invalidations, Key, Policy, RouteTable, Routes, Target,
        hours, mins, secs,
    },
    service::{BodyError, Cache, CacheBody, CacheLayer, ResponseFuture, SwrLayer},
};
