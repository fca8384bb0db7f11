//! What happened to each request, in one vocabulary for headers, counters and traces.

mod counters;
mod histogram;
mod outcome;
mod place;
mod routes;
mod windows;

pub(crate) use self::{
    counters::{Counters, Event},
    histogram::Durations,
    outcome::Bypass,
    place::is_measured,
    routes::{RouteState, RouteStates},
    windows::{Snapshot, Windows},
};
pub use self::{
    counters::{RedisStatistics, Statistics},
    histogram::Quantiles,
    outcome::Outcome,
    routes::{RouteStatistics, Traffic},
    windows::Window,
};
