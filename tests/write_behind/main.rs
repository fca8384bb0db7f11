//! Writes that are made later: delivered at least once, in order, whatever ends in between.
//!
//! - [`delivery`]: a sink that refuses, is down, is slow; what is set aside; what is made void.
//! - [`nodes`]: two nodes at a queue in Redis; a Redis that ends, forgets, or may evict.
//! - [`access`]: what a user of Redis has to be permitted.
//! - [`kills`]: processes that are killed at any moment.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod access;
mod delivery;
mod kills;
mod nodes;
mod place;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each suite uses its part")]
mod support;
