//! The layer and its settings.

use std::sync::{Arc, atomic::Ordering};

use http::HeaderName;
use tower_layer::Layer;

use super::Cache;
use crate::{
    Larder,
    key::KeyRecipe,
    policy::{Policy, RouteTable},
    semantics::storable::Preset,
    service::settings::Shared,
};

/// Puts a cache before a service: an axum router, a tonic server, any tower service over `http`.
///
/// A layer only remembers settings; what is stored belongs to the [`Larder`], which may have
/// several layers. Nothing is stored unless its route has a declared lifetime or the response says
/// itself how long it is good. The full list of what is left alone is in the documentation of
/// [`Policy`].
///
/// ```
/// use larder::{CacheLayer, Larder, Policy, Routes, mins};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().build().await?;
/// let routes = Routes::new().get("/items/{id}", Policy::ttl(mins(1)).tag("item:{id}")).build()?;
/// let service = ServiceBuilder::new()
///     .layer(CacheLayer::new(&larder).routes(routes))
///     .service_fn(|_: http::Request<String>| async {
///         Ok::<_, std::io::Error>(http::Response::new(String::from("an item")))
///     });
/// # drop(service);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

impl CacheLayer {
    /// Returns a layer with the safe settings for a cache inside an application.
    pub fn new(larder: &Larder) -> Self {
        Self::with(larder, Preset::Application)
    }

    /// Returns a layer that is a shared cache to the letter of RFC 9111, for reverse proxies.
    ///
    /// It looks up every GET and HEAD, honours what clients ask of caches, stores responses that set
    /// cookies where the RFC allows it, leaves bodies in the coding that they came in unless a policy
    /// says otherwise, and serves stale responses when the inner service returns an
    /// error, which means to it that the origin can not be reached.
    pub fn gateway(larder: &Larder) -> Self {
        // Which codings there are is between the origin and its clients.
        Self::with(larder, Preset::Gateway).policy(&Policy::new().compress(false))
    }

    fn with(larder: &Larder, preset: Preset) -> Self {
        larder.core().layers.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::new(Shared::new(larder.core(), preset)),
        }
    }

    /// Sets which routes have which policy, and which requests invalidate what.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a layer keeps what it is given"
    )]
    pub fn routes(self, table: RouteTable) -> Self {
        self.change(|shared| shared.lay(&table))
    }

    /// Lays `policy` under those of the routes. Default: nothing is set.
    ///
    /// It also holds for routes whose responses say themselves how long they are good. It does not
    /// declare a route: its lifetime is not used for responses that say nothing.
    ///
    /// A policy that can not work, which a table would refuse when it is built, lets the whole layer
    /// cache nothing: check it with [`Policy::check`] at start-up.
    pub fn policy(self, policy: &Policy) -> Self {
        let working = policy.check().is_ok();
        let policy = working.then(|| policy.clone());
        let policy = policy.unwrap_or_else(|| Policy::new().no_store());
        self.change(|shared| {
            shared.base = Arc::new(policy.over(&shared.base));
            shared.lay(&shared.table.clone());
        })
    }

    pub(crate) fn declaring(self, policy: &Policy) -> Self {
        self.policy(policy).change(|shared| shared.declared = true)
    }

    /// Trusts and keys by the given header fields, which a proxy in front always sets.
    ///
    /// Without this, requests with fields such as `X-Forwarded-Host` are not cached, since a handler
    /// may answer by them. The same as [`Policy::vary`] in the layer's [policy](Self::policy).
    pub fn trust_proxy_headers<T: AsRef<str>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.policy(&Policy::new().vary(names))
    }

    /// Sets the scheme that stands in keys. Default: `http`. It is never read from a request.
    pub fn scheme(self, scheme: &str) -> Self {
        self.change(|shared| {
            shared.recipe = KeyRecipe::new(&shared.core.namespace, scheme);
        })
    }

    /// Sets the targeted fields (RFC 9213) that are obeyed before `Cache-Control`, the most specific
    /// first. Default: `Larder-Cache-Control`; for a gateway also `CDN-Cache-Control`.
    pub fn targeted_fields(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        self.change(|shared| shared.targeted = names.into())
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        #[cfg(feature = "admin")]
        self.shared.core.insight.add(&self.shared);
        Cache::new(inner, Arc::clone(&self.shared))
    }
}

impl Larder {
    /// Returns a layer that gives the routes it is put on one policy: next to a route.
    ///
    /// A tag template may name the parameters of the route. A policy that can not work, which a
    /// table would refuse when it is built, caches nothing: check it with [`Policy::check`] at
    /// start-up.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use larder::{Larder, Policy, mins};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// let larder = Larder::builder().build().await?;
    /// let cached = larder.route(Policy::ttl(mins(5)).tag("product:{id}"));
    /// let app: Router = Router::new()
    ///     .route("/products/{id}", get(|| async { "a product" }).layer(cached));
    /// # drop(app);
    /// # Ok(())
    /// # }
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a layer keeps what it is given"
    )]
    pub fn route(&self, policy: Policy) -> CacheLayer {
        CacheLayer::new(self).declaring(&policy)
    }
}
