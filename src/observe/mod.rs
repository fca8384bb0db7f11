//! What happened to each request, in one vocabulary for headers, counters and traces.

mod counters;
mod outcome;

pub(crate) use self::{
    counters::{Counters, Event},
    outcome::Bypass,
};
pub use self::{
    counters::{RedisStatistics, Statistics},
    outcome::Outcome,
};
