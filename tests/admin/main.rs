//! The admin routes: who gets in, what they tell, what they change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and what it shares measures time"
)]

mod changing;
mod desk;
mod document;
mod door;
mod looking;
mod nodes;
mod page;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
mod watching;
