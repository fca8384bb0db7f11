//! What traces show of larder: `larder.lookup`, `larder.fill` and `larder.invalidate`.
//!
//! All of them are of the level DEBUG and of the target `larder`. Without the feature `tracing` they
//! are nothing, and cost nothing.

use std::{fmt, future::Future};

/// A piece of work, as traces show it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "tracing")]
impl Span {
    /// The look-up of a request, up to the decision what is done with it.
    pub(crate) fn lookup(route: &str) -> Self {
        use tracing::field::Empty;
        Self {
            span: tracing::debug_span!(target: "larder", "larder.lookup", route, decision = Empty),
        }
    }

    /// A handler run for the store, up to its answer.
    pub(crate) fn fill(route: &str, reason: &str) -> Self {
        Self {
            span: tracing::debug_span!(target: "larder", "larder.fill", route, reason),
        }
    }

    /// An invalidation.
    pub(crate) fn invalidate(source: &impl fmt::Display, targets: usize) -> Self {
        let source = tracing::field::display(source);
        Self {
            span: tracing::debug_span!(target: "larder", "larder.invalidate", source, targets),
        }
    }

    /// Notes what was decided.
    pub(crate) fn decided(&self, decision: &'static str) {
        self.span.record("decision", decision);
    }

    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }

    pub(crate) fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        tracing::Instrument::instrument(work, self.span)
    }
}

#[cfg(not(feature = "tracing"))]
#[expect(clippy::unused_self, reason = "this has the face of a span")]
impl Span {
    pub(crate) fn lookup(_: &str) -> Self {
        Self {}
    }

    pub(crate) fn fill(_: &str, _: &str) -> Self {
        Self {}
    }

    pub(crate) fn invalidate(_: &impl fmt::Display, _: usize) -> Self {
        Self {}
    }

    pub(crate) fn decided(&self, _: &'static str) {}

    #[inline]
    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    pub(crate) fn around<F: Future>(self, work: F) -> F {
        work
    }
}
