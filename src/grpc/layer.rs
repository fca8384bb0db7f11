//! The layer and its settings.

use std::sync::{Arc, atomic::Ordering};

use tower_layer::Layer;

use super::{GrpcCache, GrpcMethodTable};
use crate::{Larder, service::Shared};

/// Puts a cache before a server of gRPC: a tonic server, one of its services, or an axum router that
/// has such services among its routes.
///
/// Only unary methods that are [declared](super::GrpcMethods) or carry an attribute are cached. See
/// [`_docs::grpc`](crate::_docs::grpc) for what is and what is not.
///
/// ```
/// use larder::{GrpcCacheLayer, GrpcMethods, Larder, Policy, mins};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().build().await?;
/// let methods = GrpcMethods::new()
///     .cache("/shop.Products/List", Policy::ttl(mins(1)).tag("products"))
///     .build()?;
/// let layer = GrpcCacheLayer::new(&larder).methods(methods);
/// // tonic::transport::Server::builder().layer(layer).add_service(..)
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct GrpcCacheLayer {
    shared: Arc<Shared>,
    methods: GrpcMethodTable,
}

impl GrpcCacheLayer {
    /// Returns a layer that knows of no method but those with an attribute.
    pub fn new(larder: &Larder) -> Self {
        let core = larder.core();
        core.layers.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::new(Shared::for_calls(core)),
            methods: GrpcMethodTable::default(),
        }
    }

    /// Sets which methods are cached, and which invalidate what.
    pub fn methods(mut self, table: GrpcMethodTable) -> Self {
        Arc::make_mut(&mut self.shared).lay(&table.routes);
        self.methods = table;
        self
    }
}

impl<S: Clone> Layer<S> for GrpcCacheLayer {
    type Service = GrpcCache<S>;

    fn layer(&self, inner: S) -> GrpcCache<S> {
        GrpcCache::new(inner, &self.shared, self.methods.clone())
    }
}
