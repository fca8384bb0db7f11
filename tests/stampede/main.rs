//! Crowds, slow answers, failures and writes at the same moment, against a running server.
//!
//! - [`crowd`]: many ask at once, and whoever asked first leaves, fails, hangs or is slow.
//! - [`stale`]: answers past their lifetime, while a refresh runs, fails or is overtaken.
//! - [`write`]: reads around writes; nothing older than an acknowledged write is ever served.
//!
//! Every test runs over HTTP/1.1 and over HTTP/2. Times in them are those of the server, which is a
//! process of its own: bounds are loose where they only tell a wait from none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod crowd;
mod scene;
mod stale;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
mod write;
