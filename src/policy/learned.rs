//! What a route has learned from its handler: the policy that an attribute declares there.
//!
//! Such a policy reaches the layer with the first answer. From then on requests of the route are
//! keyed by it, and laid out by it before the handler sees them.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use super::Policy;

/// The place of a route for what it learns.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    lesson: OnceLock<Lesson>,
    /// Handlers with different policies answer for this one route: none of them holds for it.
    mixed: AtomicBool,
}

/// A policy that was learned.
#[derive(Debug)]
pub(crate) struct Lesson {
    /// As the handler declares it.
    pub(crate) declared: Arc<Policy>,
    /// With what the route declares over it.
    pub(crate) whole: Arc<Policy>,
}

impl Learned {
    /// Returns what was learned.
    pub(crate) fn lesson(&self) -> Option<&Lesson> {
        let lesson = self.lesson.get()?;
        (!self.mixed.load(Ordering::Relaxed)).then_some(lesson)
    }

    /// Learns `declared`, of which `whole` was made.
    pub(crate) fn learn(&self, declared: &Arc<Policy>, whole: &Arc<Policy>) {
        let lesson = self.lesson.get_or_init(|| Lesson {
            declared: Arc::clone(declared),
            whole: Arc::clone(whole),
        });
        if !Arc::ptr_eq(&lesson.declared, declared) {
            self.mixed.store(true, Ordering::Relaxed);
        }
    }
}

impl Policy {
    /// Returns whether requests are keyed, and shown to the handler, as by `other`.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        self.query == other.query && self.vary == other.vary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::secs;

    #[test]
    fn one_handler_teaches_once() {
        let (learned, policy) = (Learned::default(), Arc::new(Policy::ttl(secs(1))));
        assert!(learned.lesson().is_none());
        for _ in 0..2 {
            learned.learn(&policy, &policy);
            assert!(Arc::ptr_eq(&learned.lesson().unwrap().declared, &policy));
        }
    }

    #[test]
    fn handlers_that_differ_teach_nothing() {
        let learned = Learned::default();
        for _ in 0..2 {
            let policy = Arc::new(Policy::ttl(secs(1)));
            learned.learn(&policy, &policy);
        }
        assert!(learned.lesson().is_none());
    }
}
