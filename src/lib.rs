//! The response cache for Rust web services.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod entry;
mod error;
mod key;
mod policy;
#[allow(dead_code, reason = "the service room uses it")]
mod semantics;
mod sync;

pub use self::{
    clock::{Clock, SystemClock, TestClock, Timestamp},
    error::{Error, ErrorKind},
    policy::Target,
};
