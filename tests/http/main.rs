//! The layers over real services: what is served, stored, shared and invalidated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod app;
mod attributes;
mod basics;
mod composition;
#[path = "../support/mixture.rs"]
mod every_kind;
mod failures;
#[path = "../support/folder.rs"]
mod folder;
mod forms;
mod inline;
mod layers;
mod mixture;
mod observing;
mod posts;
mod sharing;
mod staleness;
mod stampede;
mod standards;
mod warming;
