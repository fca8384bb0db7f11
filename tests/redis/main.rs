//! larder over a real redis-server that fails in every way that one machine can bring about.
//!
//! - [`fence`]: what one node invalidates is void on the others.
//! - [`harness`]: the server and the proxy of these tests do what they say.
//!
//! Every test has a server of its own. Times are those of real processes: bounds are loose where
//! they only tell a wait from none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod fence;
mod harness;
mod node;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
