//! What happened to each request, in one vocabulary for headers, counters and traces.

mod counters;
mod histogram;
mod outcome;
mod place;
mod routes;
#[cfg(feature = "admin")]
mod tail;
mod windows;

#[cfg(feature = "admin")]
pub(crate) use self::tail::{Filter, Happening, Listening, Tail};
pub(crate) use self::{
    counters::{Counters, Event},
    histogram::Durations,
    outcome::Bypass,
    place::{MEASURED_HITS, is_measured},
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
