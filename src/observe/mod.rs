//! What happened to each request, in one vocabulary for headers, counters and traces.

mod counters;
mod outcome;

pub use self::{counters::Statistics, outcome::Outcome};
pub(crate) use self::{
    counters::{Counters, Event},
    outcome::Bypass,
};
