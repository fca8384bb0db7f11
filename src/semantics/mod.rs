//! What HTTP says about storing and reusing a response, as pure functions.
//!
//! Nothing here reads a clock, knows a store or waits: the moment and everything else is an
//! argument, so that each rule can be tested by itself. Nothing here knows policies either; what the
//! application declared reaches these functions as a lifetime or a flag. Which step follows from the
//! answers is for the service to say.

pub(crate) mod cache_status;
pub(crate) mod dates;
pub(crate) mod directives;
pub(crate) mod encoding;
pub(crate) mod fields;
pub(crate) mod freshness;
pub(crate) mod groups;
pub(crate) mod methods;
pub(crate) mod no_vary_search;
pub(crate) mod numbered;
pub(crate) mod ranges;
pub(crate) mod reuse;
#[cfg(test)]
mod samples;
mod seconds;
mod statuses;
pub(crate) mod storable;
mod targeted;
pub(crate) mod validators;
pub(crate) mod vary;
