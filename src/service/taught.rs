//! Which policy holds for a response: that of its route, with what its handler declares under it?
//!
//! An attribute on a handler is met with the handler's first answer. What it declares for answers
//! (lifetimes, tags) holds for that one already. What it declares for requests (the listed query,
//! fields in the key) does not: the request was keyed without it, and the handler has seen all of
//! it. Such an answer goes to the one who asked alone, and the next request is keyed as declared.

use std::sync::Arc;

use super::kept::Kept;
use crate::policy::{CacheHint, Policy};

/// The policy that a response is judged by.
#[derive(Debug)]
pub(crate) struct Taught {
    pub(crate) policy: Arc<Policy>,
    /// Whether it was declared, which alone may give a lifetime.
    pub(crate) declared: bool,
    /// Whether the request was keyed by all that it asks for.
    pub(crate) keyed: bool,
}

/// Returns the policy of a response with `hint`, and lets the route learn from it.
pub(crate) fn taught(kept: &Kept, hint: Option<&CacheHint>) -> Taught {
    let Some(handler) = hint.and_then(|hint| hint.declared.as_ref()) else {
        // What was learned of the handler is not meant for an answer that does not say it, such as
        // an error of the handler.
        return Taught {
            policy: Arc::clone(kept.shared.declared(&kept.matched)),
            declared: kept.matched.declared,
            keyed: true,
        };
    };
    let learned = kept.matched.learned();
    let known = learned.and_then(|learned| learned.lesson());
    let policy = match known {
        Some(lesson) if Arc::ptr_eq(&lesson.declared, handler) => Arc::clone(&lesson.whole),
        _ => Arc::new(kept.shared.with_handler(&kept.matched, handler)),
    };
    if let Some(learned) = learned {
        learned.learn(handler, &policy);
    }
    Taught {
        keyed: policy.asks_like(&kept.matched.policy),
        policy,
        declared: true,
    }
}
