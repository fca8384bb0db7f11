//! What a handler invalidates while it runs, kept apart from what it answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Target;

/// Collects what the handling of one request invalidates.
///
/// The layer puts one into the extensions of each request that passes it. What is added counts
/// from then on, so that it is invalidated also if the handler panics afterwards or its client
/// goes away. With the feature `axum` it is an extractor; without a layer it is there too, and
/// does nothing.
///
/// ```
/// use larder::{Invalidations, Target};
///
/// async fn rename(invalidations: Invalidations) {
///     invalidations.add(Target::tag("product:7"));
///     // commit
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Invalidations {
    list: Option<Arc<Mutex<Vec<Target>>>>,
}

impl Invalidations {
    /// The most targets that are kept apart; one more and everything is invalidated instead. The
    /// project's own choice: a request that touches more of the cache than this touches it all.
    const MAX_TARGETS: usize = 1000;

    /// Returns a collector that keeps what it is given.
    pub(crate) fn active() -> Self {
        Self {
            list: Some(Arc::new(Mutex::new(Vec::new()))),
        }
    }

    /// Adds what the request invalidates.
    ///
    /// From 1000 targets on everything is invalidated instead.
    pub fn add(&self, target: Target) {
        let Some(mut list) = self.locked() else {
            return;
        };
        if list.contains(&Target::Everything) {
            return;
        }
        if list.len() < Self::MAX_TARGETS {
            list.push(target);
        } else {
            *list = vec![Target::Everything];
        }
    }

    /// Returns what was added since the last time it was asked.
    pub(crate) fn take(&self) -> Vec<Target> {
        self.locked()
            .map(|mut list| std::mem::take(&mut *list))
            .unwrap_or_default()
    }

    /// A list is whole between any two of its operations, so one that was poisoned is good.
    fn locked(&self) -> Option<MutexGuard<'_, Vec<Target>>> {
        let list = self.list.as_ref()?;
        Some(list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Invalidations {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_collect_into_one_list() {
        let collector = Invalidations::active();
        for (clone, tag) in [collector.clone(), collector.clone()]
            .iter()
            .zip(["a", "b"])
        {
            clone.add(Target::tag(tag));
        }
        assert_eq!(collector.take(), [Target::tag("a"), Target::tag("b")]);
        assert_eq!(collector.take(), []);
    }

    #[test]
    fn without_a_layer_nothing_is_kept() {
        let collector = Invalidations::default();
        collector.add(Target::tag("a"));
        assert_eq!(collector.take(), []);
    }

    #[test]
    fn too_many_targets_become_everything() {
        let collector = Invalidations::active();
        for id in 0..5000 {
            collector.add(Target::tag(&id.to_string()));
        }
        assert_eq!(collector.take(), [Target::Everything]);
    }

    #[test]
    fn a_handler_that_panicked_while_adding_loses_nothing() {
        let collector = Invalidations::active();
        collector.add(Target::tag("a"));
        let clone = collector.clone();
        let panicked = std::thread::spawn(move || {
            let _held = clone.locked();
            panic!("in a handler");
        });
        assert!(panicked.join().is_err());
        assert_eq!(collector.take(), [Target::tag("a")]);
    }

    #[cfg(feature = "axum")]
    #[tokio::test]
    async fn the_extractor_hands_out_what_the_layer_put_in() {
        use axum::extract::FromRequestParts;

        let (mut parts, ()) = http::Request::new(()).into_parts();
        let Ok(inert) = Invalidations::from_request_parts(&mut parts, &()).await;
        assert!(inert.list.is_none());
        let collector = Invalidations::active();
        parts.extensions.insert(collector.clone());
        let Ok(found) = Invalidations::from_request_parts(&mut parts, &()).await;
        found.add(Target::tag("a"));
        assert_eq!(collector.take(), [Target::tag("a")]);
    }
}
