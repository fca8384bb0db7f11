//! The response cache for Rust web services.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod entry;
mod error;
#[allow(dead_code, reason = "the service room uses it")]
mod fence;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod flight;
mod handle;
mod invalidate;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod key;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod observe;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod policy;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
mod semantics;
mod service;
#[allow(dead_code, unused_imports, reason = "the service room uses it")]
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
