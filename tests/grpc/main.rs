//! Real clients and servers of tonic, with the layer in each place where it can stand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod calls;
mod changes;
mod places;
mod proving;
mod raw;
mod shop;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
mod tiers;

/// What was made of `ground.proto`.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    missing_debug_implementations,
    rust_2018_idioms,
    reason = "written by a program"
)]
mod ground {
    include!("../../examples/proto/ground.rs");
}
