//! The response cache for Rust web services.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod entry;
mod error;
mod key;
mod policy;
mod sync;

pub use self::{
    clock::{Clock, SystemClock, TestClock, Timestamp},
    error::{Error, ErrorKind},
    policy::Target,
};
