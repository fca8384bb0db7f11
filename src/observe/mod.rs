//! What happened to each request, in one vocabulary for headers, counters and traces.

mod counters;
mod histogram;
#[cfg(feature = "data")]
mod kinds;
mod outcome;
mod place;
mod routes;
mod spans;
#[cfg(feature = "admin")]
mod tail;
mod windows;

#[cfg(feature = "metrics")]
pub(crate) use self::histogram::{SPANS, middle};
#[cfg(feature = "data")]
pub(crate) use self::kinds::Kinds;
#[cfg(feature = "admin")]
pub(crate) use self::tail::{Filter, Happening, Listening, Tail};
pub(crate) use self::{
    counters::{Counters, Event},
    histogram::{Durations, Histogram},
    outcome::Bypass,
    place::{MEASURED_HITS, is_measured},
    routes::{RouteState, RouteStates},
    spans::Span,
    windows::{Snapshot, Windows},
};
pub use self::{
    counters::{RedisStatistics, SharedStatistics, Statistics},
    histogram::Quantiles,
    outcome::Outcome,
    routes::{RouteStatistics, Traffic},
    windows::Window,
};
