//! The primitives of the rooms that loom checks: std's, or loom's under `--cfg larder_loom`.
//!
//! The flag is not plain `loom`, since dependencies react to that one.

#[cfg(larder_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(larder_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicU64, Ordering},
};
