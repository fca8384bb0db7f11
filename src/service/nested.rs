//! Layers of one handle behind each other, before the outer one has learned to step aside.
//!
//! A request may then come to the inner layer out of the flight of the outer one. The two have the
//! same key, so the inner one must not wait for that flight: it would wait for itself.

use std::sync::Arc;

use http::Extensions;

use crate::handle::Core;

/// Says in a request that a layer of this handle leads a flight with it, for inner ones.
#[derive(Clone, Debug)]
struct InFlight(Arc<Core>);

/// Tells inner layers of the same handle, if there may be any, that the request is in a flight.
pub(crate) fn take_off(core: &Arc<Core>, request: &mut Extensions) {
    if core.has_layers() {
        request.insert(InFlight(Arc::clone(core)));
    }
}

/// Returns whether the request comes out of the flight of an outer layer of the same handle.
pub(crate) fn is_in_flight(core: &Arc<Core>, request: &Extensions) -> bool {
    request
        .get::<InFlight>()
        .is_some_and(|flight| Arc::ptr_eq(&flight.0, core))
}
