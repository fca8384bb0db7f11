//! What the attributes `cache` and `invalidates` call. Not for use by hand: it changes with them.

#[cfg(feature = "axum")]
mod answer;
#[cfg(feature = "axum")]
mod scope;

use std::sync::{Arc, LazyLock, OnceLock};

use http::Extensions;

#[cfg(feature = "axum")]
pub use self::{
    answer::{Answer, Otherwise, Probe},
    scope::{Scope, Scoped},
};
use crate::policy::{CacheHint, Invalidate, Invalidations, Policy, Target};

/// The policy of one handler, made when it first answers.
#[derive(Debug)]
pub struct Declared {
    make: fn() -> Policy,
    made: OnceLock<Arc<Policy>>,
}

impl Declared {
    /// Returns the policy that `make` makes.
    #[must_use]
    pub const fn new(make: fn() -> Policy) -> Self {
        Self {
            make,
            made: OnceLock::new(),
        }
    }

    /// It is the same one each time, by which a layer knows it again.
    fn policy(&self) -> &Arc<Policy> {
        self.made.get_or_init(|| Arc::new((self.make)()))
    }

    /// Adds the policy to what a response says to the cache.
    fn declare(&self, response: &mut Extensions, hint: CacheHint) {
        let own = CacheHint {
            declared: Some(Arc::clone(self.policy())),
            ..hint
        };
        let said = response.get::<CacheHint>();
        let hint = said.map_or_else(|| own.clone(), |said| said.over(&own));
        response.insert(hint);
    }
}

/// What one handler invalidates, made when it first runs.
#[derive(Debug)]
pub struct Targets(LazyLock<Invalidate>);

impl Targets {
    /// Returns the targets that `make` makes.
    #[must_use]
    pub const fn new(make: fn() -> Invalidate) -> Self {
        Self(LazyLock::new(make))
    }
}

/// Declares the policy of a method for a response with `tags`.
pub fn declare(response: &mut Extensions, declared: &Declared, tags: Vec<String>) {
    declared.declare(response, CacheHint::new().tags(tags));
}

/// Notes that a request invalidates `tags`.
pub fn note<const N: usize>(request: &Extensions, tags: [String; N]) {
    if let Some(collector) = request.get::<Invalidations>() {
        for tag in tags {
            collector.add(Target::tag(&tag));
        }
    }
}
