//! What is kept for administrators alone: who invalidated what, who listens, which layers there are.

use std::{
    fmt, ptr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use http::request::Parts;

use crate::{
    entry::Entry,
    invalidate::{Recent, Recents},
    observe::{Outcome, Tail},
};

/// What a layer can tell of itself.
pub(crate) trait Inspect: fmt::Debug + Send + Sync {
    /// Returns what would become of a request, without running its handler.
    fn explain(&self, request: Parts) -> Explained;

    /// Returns the routes that it has a policy for, declared or learned.
    fn routes(&self) -> Vec<DeclaredRoute>;
}

/// A route as a layer knows it.
#[derive(Debug)]
pub(crate) struct DeclaredRoute {
    pub(crate) pattern: String,
    pub(crate) declared: bool,
}

/// An invalidation that a stored response has met.
#[derive(Debug)]
pub(crate) struct Invalidated {
    pub(crate) target: String,
    pub(crate) soft: bool,
    /// Who made it and when, if it is not too long ago to be remembered.
    pub(crate) by: Option<Arc<Recent>>,
}

/// What would become of a request.
#[derive(Debug)]
pub(crate) struct Explained {
    /// `application` or `gateway`.
    pub(crate) preset: &'static str,
    pub(crate) route: Option<String>,
    pub(crate) declared: bool,
    pub(crate) looked_up: bool,
    pub(crate) outcome: Outcome,
    /// What was found out, in the order in which it is decided.
    pub(crate) trace: Vec<(&'static str, String)>,
    pub(crate) causes: Vec<Invalidated>,
    pub(crate) entry: Option<Arc<Entry>>,
}

#[derive(Debug, Default)]
pub(crate) struct Insight {
    pub(crate) recents: Recents,
    pub(crate) tail: Tail,
    layers: Mutex<Vec<Weak<dyn Inspect>>>,
}

impl Insight {
    /// Adds a layer that wraps a service.
    pub(crate) fn add(&self, layer: &Arc<impl Inspect + 'static>) {
        let layer = Arc::downgrade(layer);
        let layer: Weak<dyn Inspect> = layer;
        let mut all = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        // A router gives the same layer to each of its routes.
        if !all
            .iter()
            .any(|known| ptr::addr_eq(known.as_ptr(), layer.as_ptr()))
        {
            all.push(layer);
        }
    }

    /// Returns the layers that still wrap a service.
    pub(crate) fn layers(&self) -> Vec<Arc<dyn Inspect>> {
        let all = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}
