//! Real clients and servers of tonic, with the layer in each place where it can stand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod calls;
mod changes;
mod places;
mod raw;
mod shop;

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
