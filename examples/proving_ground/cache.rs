//! The one place that knows larder: which layers this server wears, and how they are set.

use std::error::Error;

use axum::Router;

use crate::settings::Settings;

/// The cache of this server.
#[derive(Debug)]
pub(crate) struct Cache {}

impl Cache {
    pub(crate) async fn open(_settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self {})
    }

    /// Puts the outer layer around all routes.
    #[expect(clippy::unused_self, reason = "the layer is not there yet")]
    pub(crate) fn around(&self, app: Router) -> Router {
        app
    }

    /// Puts a layer of its own around a router that will be nested.
    #[expect(clippy::unused_self, reason = "the layer is not there yet")]
    pub(crate) fn inside(&self, nested: Router) -> Router {
        nested
    }

    pub(crate) async fn close(self) {}
}
